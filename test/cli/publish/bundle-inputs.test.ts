/** `bundle build` looks at everything cheap before it packs, and names all faults at once. */

import assert from 'node:assert/strict';
import { chmod, chown, mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { OLDEST_AGENT } from '../../../src/bundle/publish/build.ts';
import { bundleBuild } from '../../../src/cli/publish/bundle-build.ts';
import { bundleInspect } from '../../../src/cli/publish/bundle-inspect.ts';
import { asUpdateError } from '../../../src/errors.ts';
import type { Version } from '../../../src/model.ts';
import { compareVersions } from '../../../src/version.ts';
import { AGENT_VERSION } from '../../../src/version-of-agent.ts';
import { someBytes, temporaryFolder } from '../../support/bundles.ts';
import { runCommand } from '../../support/command-line.ts';
import { peFile } from '../../support/pe.ts';
import { demoUki } from '../../support/uki.ts';

const NAMES = ['--product', 'demo', '--version', '1.0', '--counter', '1', '--level', '1'];
const forArm = (): Uint8Array => {
  const file = peFile([['.linux', 'x']]);
  new DataView(file.buffer).setUint16(68, 0xaa64, true);
  return file;
};

/** A folder with what a build takes, and a ukify that only says that it runs. */
async function bench() {
  const folder = await temporaryFolder();
  const at = (name: string): string => join(folder.path, name);
  await mkdir(at('tree/etc'), { recursive: true });
  await writeFile(at('tree/etc/os-release'), 'ID=demo\n');
  await mkdir(at('empty'));
  await writeFile(at('root.img'), someBytes(16_384));
  await writeFile(at('root.efi'), demoUki(someBytes(16_384)));
  await writeFile(at('kernel'), peFile([['.linux', 'x']]));
  await writeFile(at('kernel-arm'), forArm());
  await writeFile(at('nothing'), '');
  await writeFile(at('ukify'), '#!/bin/sh\n[ "$1" = --version ]\n');
  await chmod(at('ukify'), 0o755);
  const build = (...args: string[]): Promise<string> => runCommand(bundleBuild, folder.path, [...NAMES, ...args]);
  const refusal = (...args: string[]) =>
    build('-o', 'a.bundle', ...args).then(() => assert.fail('it was built'), asUpdateError);
  return { ...folder, refusal, build, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

test('all faults are named in one go, and nothing is left behind', async () => {
  await using at = await bench();
  const before = await readdir(at.path);
  const inputs = [
    '--kernel',
    'kernle',
    '--initrd',
    'nothing',
    '--initrd',
    'none',
    '--stub',
    'kernel-arm',
    '--ukify',
    './no-ukify',
  ];
  const { code, message } = await at.refusal('--root', 'roots', ...inputs);
  assert.equal(code, 'build-input');
  for (const part of [
    /--root .*roots: there is no such file/,
    /--kernel .*kernle does not exist/,
    /--initrd .*nothing is empty/,
  ])
    assert.match(message, part);
  for (const part of [
    /--initrd .*none does not exist/,
    /--stub .*kernel-arm is for arm64/,
    /no-ukify is not installed/,
  ])
    assert.match(message, part);
  assert.deepEqual(await readdir(at.path), before);
});

test('an empty tree, a folder that is not there for the output, a UKI for another processor', async () => {
  await using at = await bench();
  const uki = ['--uki', 'root.efi'];
  assert.match((await at.refusal('--root', 'empty', ...uki)).message, /empty folder/);
  assert.match((await at.refusal('--root', 'root.img', ...uki, '-o', 'nowhere/a.bundle')).message, /nowhere/);
  assert.match((await at.refusal('--root', 'root.img', '--uki', 'kernel-arm')).message, /is for arm64/);
  assert.match((await at.refusal('--root', 'root.img', ...uki, '--architecture', 'arm64')).message, /is for x86-64/);
});

test('a command line that a kernel would cut, and its root hash with it, is refused at the very byte', async () => {
  await using at = await bench();
  const parts = ['--root', 'tree', '--kernel', 'kernel', '--initrd', 'kernel', '--ukify', './ukify'];
  const most = 2047 - ' roothash='.length - 64;
  assert.match((await at.refusal(...parts, '--cmdline', 'x'.repeat(most + 1))).message, /2048 bytes/);
  // The stand-in for ukify is reached, and makes nothing.
  assert.notEqual((await at.refusal(...parts, '--cmdline', 'x'.repeat(most))).code, 'build-input');
});

test('what this user may not read is named before anything is packed', { skip: process.getuid?.() !== 0 }, async () => {
  await using at = await bench();
  await chmod(at.path, 0o755);
  await writeFile(join(at.path, 'tree/etc/shadow'), 'secret', { mode: 0o600 });
  await mkdir(join(at.path, 'tree/private'), { mode: 0o700 });
  await writeFile(join(at.path, 'tree/private/key'), 'secret');
  const before = await readdir(at.path);
  process.seteuid?.(65_534);
  try {
    for (const format of ['erofs', 'ext4']) {
      const { code, message } = await at.refusal('--root', 'tree', '--uki', 'root.efi', '--format', format);
      assert.equal(code, 'build-input');
      assert.match(message, /may not read .*tree\/etc\/shadow; this user may not read .*tree\/private$/);
    }
  } finally {
    process.seteuid?.(0);
  }
  assert.deepEqual(await readdir(at.path), before);
});

/** What a build warns of before it reaches the UKI, which is not of this release. */
async function warnings(at: Awaited<ReturnType<typeof bench>>, args: readonly string[], env = {}): Promise<string> {
  const said: string[] = [];
  const all = [...NAMES, '-o', 'a.bundle', '--root', 'tree', '--uki', 'root.efi', ...args];
  await assert.rejects(
    runCommand(bundleBuild, at.path, all, env, (text) => void said.push(text)),
    { code: 'uki-mismatch' },
  );
  // Without the bar, and what doctor says of a tree that is no system.
  return said.filter((line) => !/^(root|kernel) image|^system: /.test(line)).join('');
}

test('whose files a host would not know is said, unless they are given to root or fakeroot is at work', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('only root can give files away');
  await using at = await bench();
  assert.equal(await warnings(at, []), '');
  for (const name of ['', '/etc', '/etc/os-release']) await chown(join(at.path, `tree${name}`), 1000, 1000);
  assert.match(await warnings(at, []), /^2 files will belong to user 1000 on every host, .*tree\/etc\)\. --owner root/);
  assert.equal(await warnings(at, ['--owner', 'root']), '');
  assert.equal(await warnings(at, [], { FAKEROOTKEY: '1' }), '');
});

test('a release that is dated by a file of the future is warned about, unless its time is given', async () => {
  await using at = await bench();
  await utimes(join(at.path, 'tree/etc/os-release'), 0, 4_000_000_000);
  assert.match(await warnings(at, []), /os-release is dated in the future/);
  assert.equal(await warnings(at, [], { SOURCE_DATE_EPOCH: '1700000000' }), '');
});

test('a bundle can be installed by agents that are older than the program that built it', async () => {
  await using at = await bench();
  await at.build('--root', 'root.img', '--uki', 'root.efi', '-o', 'a.bundle');
  const { minAgent } = JSON.parse(await runCommand(bundleInspect, at.path, ['a.bundle', '--json'])) as {
    minAgent: string;
  };
  assert.equal(minAgent, OLDEST_AGENT);
  assert.ok(compareVersions(OLDEST_AGENT as Version, AGENT_VERSION as Version) < 0);
});
