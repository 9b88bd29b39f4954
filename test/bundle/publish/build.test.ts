/** A tree or an image becomes a bundle, the same bytes each time, and the UKI must belong to it. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, link, mkdir, readdir, readFile, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DecodeJob } from '../../../src/bundle/decode/batch.ts';
import { decodeFrame } from '../../../src/bundle/decode/decode.ts';
import type { PlainRun } from '../../../src/bundle/decode/pool.ts';
import { auditBundle } from '../../../src/bundle/publish/audit.ts';
import { type BuildInput, buildBundle } from '../../../src/bundle/publish/build.ts';
import { openBundle } from '../../../src/bundle/reader.ts';
import { commandLineValues, osReleaseValue, ukiText } from '../../../src/formats/pe.ts';
import type { Product, Version } from '../../../src/model.ts';
import { fileSource } from '../../../src/system/disk/file-source.ts';
import { realFiles } from '../../../src/system/files.ts';
import { type Exec, realExec } from '../../../src/system/process/exec.ts';
import { noSignal, someBytes, temporaryFolder } from '../../support/bundles.ts';
import { peFile } from '../../support/pe.ts';

/** Stands in for ukify, which bookworm lacks: the same arguments, a tiny UKI. */
const withUkify: Exec = async (program, args, options) => {
  if (program !== 'ukify') return realExec(program, args, options);
  const value = (name: string): string =>
    args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? '';
  const osRelease = await readFile(value('os-release').slice(1), 'utf8');
  await writeFile(
    value('output'),
    peFile([
      ['.osrel', osRelease],
      ['.cmdline', value('cmdline')],
      ['.linux', await readFile(value('linux'))],
    ]),
  );
  return { exitCode: 0, stdout: '', stderr: '', timedOut: false };
};

async function makeTree(tree: string, order: 'forward' | 'backward' = 'forward'): Promise<void> {
  const names = Array.from({ length: 40 }, (_, index) => `file-${index}`);
  await mkdir(join(tree, 'usr/lib'), { recursive: true });
  for (const name of order === 'forward' ? names : names.toReversed())
    await writeFile(join(tree, 'usr/lib', name), someBytes(1000 * (1 + Number(name.slice(5))), 3));
  await symlink('usr/lib', join(tree, 'lib'));
  await link(join(tree, 'usr/lib/file-3'), join(tree, 'usr/lib/hard link'));
  await chmod(join(tree, 'usr/lib/file-4'), 0o755);
}

const input = (folder: string, more: Partial<BuildInput> = {}): BuildInput => ({
  product: 'demo' as Product,
  version: '1.0' as Version,
  counter: 1,
  architecture: 'x86-64',
  minAgent: '0.1.0',
  root: join(folder, 'tree'),
  format: 'erofs',
  owner: 'keep',
  uki: { kernel: join(folder, 'kernel'), initrds: [], commandLine: 'quiet' },
  output: join(folder, 'a.bundle'),
  level: 3,
  epoch: 0,
  ...more,
});

const tools = { exec: withUkify, files: realFiles, signal: noSignal };

async function* decodeHere(jobs: AsyncIterable<DecodeJob>): AsyncGenerator<PlainRun> {
  for await (const { frame, check } of jobs) yield { offset: frame.offset, bytes: decodeFrame(frame, check) };
}

async function audit(path: string): Promise<void> {
  await using source = await fileSource(path);
  await auditBundle(await openBundle(source, undefined, noSignal), { decode: decodeHere, signal: noSignal });
}

async function imageBytes(path: string, role: 'root' | 'uki'): Promise<Buffer> {
  await using source = await fileSource(path);
  const bundle = await openBundle(source, undefined, noSignal);
  const parts: Uint8Array[] = [];
  const table = await bundle.frameTable(role, noSignal);
  for await (const frame of bundle.compressedFrames(role, table, noSignal)) parts.push(decodeFrame(frame));
  return Buffer.concat(parts);
}

const digest = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex');

for (const format of ['erofs', 'ext4'] as const)
  test(`a tree gives the same ${format} bundle whenever its files were written and read`, async () => {
    await using folder = await temporaryFolder();
    const [one, two] = [join(folder.path, 'one'), join(folder.path, 'two')];
    await makeTree(join(one, 'tree'));
    await makeTree(join(two, 'tree'), 'backward');
    await utimes(join(two, 'tree/usr/lib/file-1'), 1000, 2000);
    for (const side of [one, two]) await writeFile(join(side, 'kernel'), someBytes(50_000));
    const from = (side: string): BuildInput => input(side, { format });
    const result = await buildBundle(from(one), tools);
    await buildBundle(from(two), tools);
    await audit(join(one, 'a.bundle'));
    assert.equal((await readFile(join(one, 'a.bundle'))).length, result.size);
    assert.deepEqual((await readdir(one)).sort(), ['a.bundle', 'kernel', 'tree']);
    assert.equal(await digest(join(one, 'a.bundle')), await digest(join(two, 'a.bundle')));
  });

test('the UKI that is made names the root hash, the product and the version', async () => {
  await using folder = await temporaryFolder();
  await makeTree(join(folder.path, 'tree'));
  await writeFile(join(folder.path, 'kernel'), someBytes(50_000));
  const osRelease = 'NAME=Mine\nID=other\nVERSION_ID=9\nPRETTY_NAME="My system"\n';
  const uki = { kernel: join(folder.path, 'kernel'), initrds: [], commandLine: 'quiet', osRelease };
  const { rootHash } = await buildBundle(input(folder.path, { uki }), tools);
  const made = new Uint8Array(await imageBytes(join(folder.path, 'a.bundle'), 'uki'));
  assert.deepEqual(commandLineValues(ukiText(made, '.cmdline') ?? '', 'roothash'), [rootHash]);
  const text = ukiText(made, '.osrel') ?? '';
  assert.deepEqual(
    ['NAME', 'ID', 'VERSION_ID', 'IMAGE_ID', 'IMAGE_VERSION', 'PRETTY_NAME'].map((key) => osReleaseValue(text, key)),
    ['Mine', 'demo', '1.0', 'demo', '1.0', 'My system'],
  );
});

test('a UKI of another release is refused, and the message says which root hash it must name', async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'given.efi');
  const root = join(folder.path, 'root.img');
  await writeFile(root, someBytes(50_000));
  const build = () => buildBundle(input(folder.path, { root, uki: { file } }), tools);
  await writeFile(
    file,
    peFile([
      ['.cmdline', 'quiet'],
      ['.osrel', 'ID=demo\nVERSION_ID=1.0\n'],
    ]),
  );
  const error = await build().then(
    () => assert.fail('it was built'),
    (thrown: Error & { code: string }) => thrown,
  );
  assert.equal(error.code, 'uki-mismatch');
  const rootHash = /must have roothash=([0-9a-f]{64})/.exec(error.message)?.[1] ?? '';
  await writeFile(
    file,
    peFile([
      ['.cmdline', `roothash=${rootHash}`],
      ['.osrel', 'ID=demo\nVERSION_ID=0.9\n'],
    ]),
  );
  await assert.rejects(build, { code: 'uki-mismatch', message: /VERSION_ID=0.9, not 1.0/ });
  assert.deepEqual((await readdir(folder.path)).sort(), ['given.efi', 'root.img'], 'a failed build leaves nothing');
  await writeFile(
    file,
    peFile([
      ['.cmdline', `roothash=${rootHash}`],
      ['.osrel', 'ID=demo\nVERSION_ID=1.0\n'],
    ]),
  );
  await build();
  await audit(join(folder.path, 'a.bundle'));
  assert.equal((await imageBytes(join(folder.path, 'a.bundle'), 'root')).length, 53_248, 'padded to whole blocks');
});

test('a command line that already names a root hash is refused', async () => {
  await using folder = await temporaryFolder();
  await makeTree(join(folder.path, 'tree'));
  const uki = { kernel: join(folder.path, 'kernel'), initrds: [], commandLine: 'roothash=00' };
  await assert.rejects(buildBundle(input(folder.path, { uki }), tools), { code: 'usage' });
});

test('an image that is missing, a pipe or a device is refused by name', async () => {
  await using folder = await temporaryFolder();
  for (const root of [join(folder.path, 'nothing'), '/dev/null'])
    await assert.rejects(buildBundle(input(folder.path, { root }), tools), { code: 'source-unreadable' });
});

test('a program that is missing is named with its package', async () => {
  await using folder = await temporaryFolder();
  await makeTree(join(folder.path, 'tree'));
  const uki = {
    kernel: join(folder.path, 'kernel'),
    initrds: [],
    commandLine: '',
    ukify: join(folder.path, 'no-ukify'),
  };
  await assert.rejects(buildBundle(input(folder.path, { uki }), tools), {
    code: 'tool-missing',
    message: /systemd-ukify/,
  });
});
