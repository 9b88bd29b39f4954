/** A command line for every command, and the folder of files that they name. */

import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { keyGenerate } from '../../src/cli/publish/key-generate.ts';
import { repoAdd } from '../../src/cli/publish/repo-add.ts';
import { repoInit } from '../../src/cli/publish/repo-init.ts';
import { repoPromote } from '../../src/cli/publish/repo-promote.ts';
import type { Version } from '../../src/model.ts';
import { makeBundle, someBytes } from './bundles.ts';
import { runCommand } from './command-line.ts';
import { demoUki } from './uki.ts';

const AT = ['--repository', 'repository', '--keys', 'keys'];
const SERVER = ['--server', 'http://127.0.0.1:9/', '--token-file', 'token'];
const DEMO = ['--product', 'demo', '--version', '3.0', '--counter', '3'];
const DISK = ['--loader-file', 'root.efi', '--esp-size', '34M', '--var-size', '32M'];

/** Run one after another in the folder of the material. */
export const COMMAND_LINES: readonly (readonly string[])[] = [
  ['status'],
  ['explain'],
  ['check'],
  ['install', '1.0'],
  ['install', '--from', 'repository'],
  ['apply'],
  ['inhibit', '--owner', 'ana', '--reason', 'a test', '--for', '1m', '--', 'true'],
  ['rollback'],
  ['forget'],
  ['history'],
  ['metrics'],
  ['metrics', '--textfile', 'metrics.prom'],
  ['config', 'show'],
  ['doctor'],
  ['doctor', '--tree', 'tree'],
  ['doctor', '--image', 'one.bundle', '--uki', 'root.efi'],
  [
    'doctor',
    '--tree',
    'tree',
    '--kernel',
    'root.img',
    '--initrd',
    'root.img',
    '--cmdline',
    'quiet',
    '--repository',
    'repository',
  ],
  ['agent'],
  ['wait-confirmed', '--timeout', '1s'],
  ['jump', 'soft-b'],
  ['bundle', 'inspect', 'one.bundle'],
  ['bundle', 'inspect', 'two.bundle', '--against', 'one.bundle'],
  ['bundle', 'verify', 'one.bundle'],
  ['bundle', 'verify', 'one.bundle', '--repository', 'repository'],
  ['bundle', 'build', ...DEMO, '--root', 'root.img', '--uki', 'root.efi', '-o', 'built.bundle', '--level', '1'],
  ['bundle', 'build', ...DEMO, '--root', 'tree', '--uki', 'root.efi', '-o', 'built.bundle', '--level', '1'],
  ['bundle', 'build', ...DEMO, '--root', 'tree', '--kernel', 'root.img', '--initrd', 'root.img', '-o', 'built.bundle'],
  ['image', 'build', 'one.bundle', '-o', 'disk.img', ...DISK],
  ['image', 'build', 'one.bundle', '--to', 'disk.img', '--yes', ...DISK],
  ['image', 'inspect', 'disk.img'],
  ['key', 'generate', 'fresh'],
  ['key', 'generate', 'locked', '--encrypt', '--passphrase-file', 'passphrase'],
  ['key', 'show', 'key.pem'],
  ['key', 'show', 'key.pub.json'],
  ['repo', 'init', '--repository', 'new-repository', '--keys', 'new-keys'],
  ['repo', 'init', ...AT],
  ['repo', 'add', 'two.bundle', ...AT],
  ['repo', 'add', 'one.bundle', ...AT],
  ['bundle', 'patch', 'two.bundle', '--from', 'one.bundle', ...AT],
  ['repo', 'promote', '2.0', '--channel', 'stable', ...AT],
  ['repo', 'promote', '1.0', '--channel', 'stable', '--repository', 'repository', '--key', 'key.pem'],
  ['repo', 'refresh', ...AT],
  ['repo', 'recover', ...AT],
  ['repo', 'verify', '--repository', 'repository'],
  ['repo', 'rotate-key', 'timestamp', '--old', 'key.pub.json', '--new', 'key.pem', ...AT],
  ['repo', 'remove', '1.0', ...AT],
  ['repo', 'list', '--repository', 'repository'],
  ['rollout', 'start', '2.0', ...AT],
  ['rollout', 'status', '--repository', 'repository'],
  ['rollout', 'plan', '--repository', 'repository', '0123456789abcdef0123456789abcdef=default'],
  ['rollout', 'pause', '--reason', 'a test', ...AT],
  ['rollout', 'resume', ...AT],
  ['rollout', 'abort', '--reason', 'a test', ...AT],
  ['rollout', 'history', '--repository', 'repository'],
  ['rollout', 'simulate', '--hosts', '10', '--svg', 'curve.svg'],
  ['rollout', 'simulate', '--hosts', '10', '--signed', '--repository', 'repository'],
  ['rollout', 'machines', 'web-17', ...SERVER],
  ['rollout', 'readmit', '0123456789abcdef0123456789abcdef', ...SERVER],
  ['rollout', 'readmit', '--all', '--channel', 'stable', ...SERVER],
  ['lock', 'status'],
  ['lock', 'status', '--endpoint', 'http://127.0.0.1:9/', '--ca', 'ca.pem'],
  ['lock', 'status', ...SERVER, '--group', 'web'],
  ['lock', 'release', 'host', ...SERVER, '--group', 'web'],
  ['lock', 'set-max', '2', ...SERVER, '--group', 'web'],
  ['server', 'token', 'add', 'ana', '--role', 'viewer', ...SERVER],
  ['server', 'token', 'list', ...SERVER],
  ['server', 'token', 'revoke', 'ana', ...SERVER],
  ['server', 'machine', 'forget', 'web-17', ...SERVER],
  ['server', 'machine', 'reset', 'web-17', ...SERVER],
  ['server', '--repository', 'repository', '--state', 'server', '--listen', '127.0.0.1:0', '--machine-token', 'token'],
  [
    'server',
    '--repository',
    'repository',
    '--state',
    'server',
    '--listen',
    '127.0.0.1:0',
    '--tls-own',
    'tls',
    '--keys',
    'keys',
  ],
  [
    'server',
    '--repository',
    'repository',
    '--state',
    'server',
    '--listen',
    '127.0.0.1:0',
    '--tls-cert',
    'ca.pem',
    '--tls-key',
    'key.pem',
  ],
  ['server', '--repository', 'repository', '--etcd', 'http://127.0.0.1:9/', '--listen', '127.0.0.1:0'],
  ['completion', 'bash'],
];

/** Makes the files: a repository with one release on offer, its keys, a second bundle, what bundles are made of. */
export async function makeMaterial(folder: string): Promise<void> {
  const root = someBytes(64 * 4096);
  const next = Uint8Array.from(root, (byte, at) => (at < 4096 ? byte ^ 1 : byte));
  await mkdir(join(folder, 'tree/etc'), { recursive: true });
  await mkdir(join(folder, 'server'));
  await writeFile(join(folder, 'tree/etc/os-release'), 'ID=demo\n');
  await makeBundle(join(folder, 'one.bundle'), { root, uki: demoUki(root) });
  const second = { version: '2.0' as Version, counter: 2 };
  await makeBundle(join(folder, 'two.bundle'), { root: next, uki: demoUki(next, '2.0') }, { about: second });
  await writeFile(join(folder, 'root.img'), root);
  await writeFile(join(folder, 'root.efi'), demoUki(root, '3.0'));
  for (const [name, text] of Object.entries({
    token: 'a'.repeat(43),
    passphrase: 'secret',
    'ca.pem': 'none',
    'metrics.prom': '',
    'curve.svg': '',
  }))
    await writeFile(join(folder, name), `${text}\n`);
  await runCommand(keyGenerate, folder, ['key']);
  await runCommand(repoInit, folder, AT);
  await runCommand(repoAdd, folder, ['one.bundle', ...AT]);
  await runCommand(repoPromote, folder, ['1.0', '--channel', 'stable', ...AT]);
  await copyFile(join(folder, 'repository/metadata/1.root.json'), join(folder, 'root.json'));
}
