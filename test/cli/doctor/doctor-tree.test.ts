/** `updatectl doctor --tree`, on folders: good ones, and those in which anything may be anywhere. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { doctor } from '../../../src/cli/doctor/doctor.ts';
import { TREE_CHECKS } from '../../../src/cli/doctor/tree/checks.ts';
import { examineTree } from '../../../src/cli/doctor/tree/examine.ts';
import { realClock } from '../../../src/system/clock.ts';
import { refusalOf, runCommand } from '../../support/command-line.ts';
import { cpioArchive } from '../../support/cpio.ts';
import { goodTree, memoryTree, type TreeItem, writeTree } from '../../support/good-tree.ts';
import { TestRepository } from '../../support/tuf-repository.ts';

const dir = await mkdtemp(join(tmpdir(), 'tandem-doctor-tree-'));
const repository = await new TestRepository().init(undefined, new Date());
after(async () => {
  repository[Symbol.dispose]();
  await rm(dir, { recursive: true });
});
await writeTree(join(dir, 'tree'), goodTree(repository.root));
await writeFile(join(dir, 'initrd'), cpioArchive([{ path: 'init', content: 'roothash' }]));

const AROUND = ['--version', '2.1', '--cmdline', 'quiet', '--repository', repository.dir];

test('a good tree in a folder passes every check', async () => {
  const text = await runCommand(doctor, dir, ['--tree', 'tree', ...AROUND]);
  assert.match(text, /All \d+ checks passed\.\n$/, text);
  const { healthy, tree, checks } = JSON.parse(await runCommand(doctor, dir, ['--tree', 'tree', ...AROUND, '--json']));
  assert.deepEqual([healthy, tree], [true, join(dir, 'tree')]);
  assert.equal(checks.length, TREE_CHECKS.length - 1);
});

test('an initrd is checked if it is given', async () => {
  const text = await runCommand(doctor, dir, ['--tree', 'tree', ...AROUND, '--initrd', 'initrd']);
  assert.match(text, /initrd {2,}It lacks the modules dm-verity/);
});

test('what is no tree, no repository or no initrd is refused with its name', async () => {
  for (const wrong of [
    ['--tree', 'nowhere'],
    ['--tree', 'initrd'],
    ['--tree', 'tree', '--repository', 'tree'],
    ['--tree', 'tree', '--initrd', 'nowhere'],
    ['--tree', 'tree', '--kernel', 'nowhere'],
  ])
    assert.equal(await refusalOf(runCommand(doctor, dir, wrong)), 'source-unreadable', wrong.join(' '));
  assert.equal(await refusalOf(runCommand(doctor, dir, ['--initrd', 'initrd'])), 'usage');
});

const good = goodTree(repository.root);
const STRANGE: readonly TreeItem[] = [
  { kind: 'pipe' },
  { kind: 'character device' },
  { kind: 'folder' },
  { to: '/dev/null' },
  { to: '.' },
  { to: '../../../../../..' },
  { to: `/${'x/'.repeat(3000)}` },
  { text: '', size: 1e13 },
  { text: 'x'.repeat(70_000), mode: 0o777 },
  { text: '#!\u0000\u001b[2J\u202e\n', mode: 0o755 },
  { text: Buffer.from('7f454c46020101000000000000000000ffff3e00', 'hex'), mode: 0o755 },
];

test('anything may be anywhere in a tree: every check has a finding, of a length that can be read', async () => {
  const change = fc.dictionary(fc.constantFrom(...Object.keys(good)), fc.constantFrom(...STRANGE), {
    minKeys: 1,
    maxKeys: 8,
  });
  const context = { clock: realClock, signal: new AbortController().signal };
  await fc.assert(
    fc.asyncProperty(change, async (changes) => {
      for (const { sentence } of await examineTree(context, memoryTree({ ...good, ...changes }), {}))
        assert.ok(sentence.length <= 500, sentence);
    }),
    { numRuns: 100 },
  );
});

test('an empty tree has findings, not errors', async () => {
  const findings = await examineTree({ clock: realClock, signal: new AbortController().signal }, memoryTree({}), {});
  assert.equal(findings[0]?.result, 'fail');
});
