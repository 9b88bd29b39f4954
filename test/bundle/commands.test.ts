/** The bundle commands, run as a publisher runs them. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Manifest, manifestDigest, serializeManifest } from '../../src/bundle/manifest.ts';
import type { Version } from '../../src/model.ts';
import { makeBundle, someBytes, temporaryFolder } from '../support/bundles.ts';
import { quickFiles, TestRepository } from '../support/tuf-repository.ts';
import { demoUki } from '../support/uki.ts';

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;
const PE = new URL('../support/pe.ts', import.meta.url).href;

/** Stands in for ukify, which Debian bookworm lacks: the same arguments, a tiny UKI. */
const UKIFY = `#!${process.execPath}
const { readFileSync, writeFileSync } = await import('node:fs');
const { peFile } = await import('${PE}');
const value = (name) => process.argv.find((one) => one.startsWith('--' + name + '='))?.slice(name.length + 3) ?? '';
const text = readFileSync(value('os-release').slice(1));
writeFileSync(value('output'), peFile([['.osrel', text], ['.cmdline', value('cmdline')], ['.linux', readFileSync(value('linux'))]]));
`;

/** In the tree of the first test. */
const NEWEST = ['tree', 'tree/etc', 'tree/etc/hostname'];

function updatectl(cwd: string, ...args: string[]): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { cwd, encoding: 'utf8' });
  return { status, out: stdout, err: stderr };
}

test('build, inspect and verify, for people and for programs', async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await mkdir(join(path, 'tree/etc'), { recursive: true });
  await writeFile(join(path, 'tree/etc/hostname'), 'demo\n');
  await writeFile(join(path, 'kernel'), 'kernel');
  await writeFile(join(path, 'ukify.mjs'), UKIFY);
  await chmod(join(path, 'ukify.mjs'), 0o755);
  const what = [
    '--product',
    'demo',
    '--version',
    '1.0',
    '--counter',
    '3',
    '--root',
    'tree',
    '--kernel',
    'kernel',
    '--initrd',
    'kernel',
  ];
  const built = updatectl(path, 'bundle', 'build', ...what, '--ukify', './ukify.mjs', '-o', 'a.bundle', '--json');
  assert.equal(built.status, 0, built.err);
  assert.equal(built.err, 'system: /sbin/init is missing or not a program.\n', 'doctor says so of a tree without one');
  const { rootHash, manifest, time } = JSON.parse(built.out) as { rootHash: string; manifest: string; time: string };
  const newest = Math.max(...(await Promise.all(NEWEST.map(async (name) => (await stat(join(path, name))).mtimeMs))));
  assert.equal(time, `${new Date(newest).toISOString().slice(0, 19)}Z`, 'the release is as old as its newest file');

  const inspected = JSON.parse(updatectl(path, 'bundle', 'inspect', 'a.bundle', '--json').out) as Record<
    string,
    unknown
  >;
  assert.deepEqual(
    [inspected['product'], inspected['version'], inspected['counter'], inspected['rootHash'], inspected['manifest']],
    ['demo', '1.0', 3, rootHash, manifest],
  );
  assert.match(updatectl(path, 'bundle', 'inspect', 'a.bundle').out, /root +partition/);

  const verified = updatectl(path, 'bundle', 'verify', 'a.bundle');
  assert.equal(verified.status, 0, verified.err);
  assert.match(verified.out, /a\.bundle is intact: demo 1\.0/);

  const bytes = await readFile(join(path, 'a.bundle'));
  bytes[bytes.length - 1] = 1;
  await writeFile(join(path, 'b.bundle'), bytes);
  const refused = updatectl(path, 'bundle', 'verify', 'b.bundle');
  assert.equal(refused.status, 6);
  assert.match(refused.err, /\[bundle-padding\]/);
});

test('a bundle that no repository has signed for is not accepted with --repository', async () => {
  await using folder = await temporaryFolder();
  using repository = new TestRepository();
  // The command looks at the real clock, and metadata that was signed in the future is refused.
  const now = new Date();
  await repository.init(quickFiles, now);
  const root = someBytes(8192);
  const manifests = await Promise.all(
    ['1.0', '2.0'].map((version) =>
      makeBundle(
        join(folder.path, version),
        { root, uki: demoUki(root, version) },
        { about: { version: version as Version } },
      ),
    ),
  );
  const bytes = serializeManifest(manifests[0] as Manifest);
  const { product, version, counter, architecture, minAgent } = manifests[0] as Manifest;
  const manifest = { sha256: manifestDigest(bytes), size: bytes.length };
  await repository.add('1.0', { product, version, counter, architecture, minAgent, manifest }, { now });
  const verify = (name: string) => updatectl(folder.path, 'bundle', 'verify', name, '--repository', repository.dir);
  const signed = verify('1.0');
  assert.equal(signed.status, 0, signed.err);
  const foreign = verify('2.0');
  assert.match(foreign.err, /\[release-unknown\]/);
  assert.equal(updatectl(folder.path, 'bundle', 'verify', '1.0', '--repository', folder.path).status, 2);
});

test('a root image that is compressed by itself is built, with a warning', async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'root'), Buffer.concat([Buffer.from('hsqs'), someBytes(8188)]));
  const what = ['--product', 'demo', '--version', '1.0', '--counter', '3', '--root', 'root', '--kernel', 'kernel'];
  await writeFile(join(folder.path, 'kernel'), 'kernel');
  await writeFile(join(folder.path, 'ukify.mjs'), UKIFY);
  await chmod(join(folder.path, 'ukify.mjs'), 0o755);
  const built = updatectl(folder.path, 'bundle', 'build', ...what, '--ukify', './ukify.mjs', '-o', 'a.bundle');
  assert.equal(built.status, 0, built.err);
  assert.match(built.err, /root is squashfs: updates will be nearly full downloads/);
});

test('wrong usage is said in one sentence before anything is done', async () => {
  await using folder = await temporaryFolder();
  const what = ['--product', 'demo', '--version', '1.0', '--counter', '3', '--root', 'tree', '-o', 'a.bundle'];
  const cases: [string[], RegExp][] = [
    [[...what], /either --uki, or --kernel/],
    [[...what, '--uki', 'a', '--kernel', 'b'], /either --uki, or --kernel/],
    [[...what, '--uki', 'a', '--format', 'fat'], /--format must be erofs or ext4/],
    [[...what, '--uki', 'a', '--level', '40'], /--level goes from 1 to 19/],
    [[...what, '--uki', 'a', '--product', 'A B'], /--product A B is not allowed/],
    [['--product', 'demo'], /required option/],
  ];
  for (const [args, message] of cases) {
    const { status, err } = updatectl(folder.path, 'bundle', 'build', ...args);
    assert.equal(status, 2, err);
    assert.match(err, message);
  }
});
