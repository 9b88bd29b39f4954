/** Whether a tree has what its boot loader needs from it; the rest is on the disk. */

import type { BackendName } from '../../../model.ts';
import { environmentCopies } from '../../../reboot/bootloaders/uboot.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';
import type { TreeWorld } from './world.ts';

export const bootLoader = (world: TreeWorld): Promise<Finding> => CHECKS[world.config.boot.backend](world);

const nothing = async ({ config }: TreeWorld): Promise<Finding> =>
  ok(`${config.boot.backend} needs nothing from the tree.`);

const CHECKS: Readonly<Record<BackendName, (world: TreeWorld) => Promise<Finding>>> = {
  'systemd-boot': nothing,
  grub: nothing,
  gpt: nothing,
  tryboot: nothing,
  'efi-variables': nothing,
  uboot: async ({ tree, config: { boot } }) => {
    const path = boot.ubootEnvironment;
    const bytes = await tree.readHead(path, 64 * 1024);
    const copies = environmentCopies(new TextDecoder().decode(bytes));
    if (copies === 0)
      return fail(
        `${path} lists no environment.`,
        'Give device, offset and size of both copies: docs/boot-loaders.md.',
      );
    if (copies > 1) return ok('The environment has two copies.');
    return warn(
      `${path} lists only one copy of the environment: a power cut during a write loses all of it.`,
      'Build U-Boot with a redundant environment, and list both copies.',
    );
  },
  program: async ({ tree, config: { boot } }) => {
    const path = boot.program;
    if (path === undefined)
      return fail('boot.program is not set.', 'Set it to your program; docs/boot-program.md has its contract.');
    const node = await tree.find(path);
    if (node?.kind === 'file' && (node.mode & 0o111) !== 0) return ok(`${path} stands in for the boot loader.`);
    return fail(
      `${path} is ${node ? 'not executable' : 'missing'}; boot.program names it.`,
      'Put your program there, with the x bit.',
    );
  },
};
