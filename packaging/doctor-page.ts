/** The page about the checks of `updatectl doctor`, from their tables. */

import { CHECKS } from '../src/cli/doctor/checks.ts';
import { TREE_CHECKS } from '../src/cli/doctor/tree/checks.ts';

type Explained = Readonly<{ name: string; meaning: string; remedy: string }>;

/** The lines of the page below its heading. */
export const doctorPage = (): readonly string[] => [
  ...INTRO,
  '',
  '## A tree before its first start',
  '',
  ...TREE_INTRO,
  '',
  ...tableOf(TREE_CHECKS),
  '',
  '## A running host',
  '',
  ...HOST_INTRO,
  '',
  ...tableOf(CHECKS),
  '',
  ...TESTS,
];

const INTRO = [
  '`updatectl doctor` checks the host on which it runs; `updatectl doctor --tree` or `--image` checks the root file system of an image before it ever starts. Both only read.',
  'Each check ends with one finding: ✓ passed, `!` a warning, ✗ failed, or `?` could not be run. The line below a finding says what to do. The exit status is 8 if a check',
  'failed, and 0 otherwise; `--json` prints the findings as one document.',
];

const TREE_INTRO = [
  '```',
  'updatectl doctor --image shop-2.1.bundle',
  'updatectl doctor --tree ./tree --version 2.1 --kernel vmlinuz --initrd initrd --cmdline "console=ttyS0" --repository ./repo',
  '```',
  '',
  'It needs no privileges, runs nothing from the tree, and works for any architecture. Links are followed as the system in the tree would follow them, and never lead',
  'out of it. The options are optional: without `--cmdline` or `--initrd`, that check is left out; without `--repository`, any valid root is accepted.',
  '',
  'An image is a root image (erofs without compression, or ext4), a bundle, or a disk image, of which the filled slot is checked. It is read in place, whatever its size; of a bundle, the',
  'command line, kernel and initrd in its kernel image are checked too. `updatectl bundle build` runs the same checks on its input, and shows failures and warnings before it packs; it never',
  'refuses because of them.',
  '',
  'A failed check means that hosts with this tree would not start, not update, or not fall back. A warning may be intended. What is not in the tree (the disk, the ESP, a',
  'host’s own settings) is checked on the running host.',
];

const HOST_INTRO = [
  'Some checks need root; without it, they could not be run. The check of the repository waits for a few seconds; no other one uses the network, except for etcd.',
];

const TESTS = [
  'The tests seed faults into a good tree (`test/cli/doctor/tree-faults.test.ts`) and a good host (`host-faults.test.ts`), one at a time: each is found, and nothing else.',
];

const tableOf = (checks: readonly Explained[]): readonly string[] => [
  '| check | passes if | remedy |',
  '|---|---|---|',
  ...checks.map(({ name, meaning, remedy }) => `| *${name}* | ${cell(meaning)} | ${cell(remedy)} |`),
];

const cell = (text: string): string => text.replace(/\|/g, '\\|');
