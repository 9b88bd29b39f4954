/** The commands for keys and repositories, run as a publisher runs them. */

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import type { Command } from '../../src/cli/command.ts';
import { bundlePatch } from '../../src/cli/publish/bundle-patch.ts';
import { keyGenerate } from '../../src/cli/publish/key-generate.ts';
import { keyShow } from '../../src/cli/publish/key-show.ts';
import { repoAdd } from '../../src/cli/publish/repo-add.ts';
import { repoInit } from '../../src/cli/publish/repo-init.ts';
import { repoList } from '../../src/cli/publish/repo-list.ts';
import { repoPromote } from '../../src/cli/publish/repo-promote.ts';
import { repoRefresh } from '../../src/cli/publish/repo-refresh.ts';
import { repoRemove } from '../../src/cli/publish/repo-remove.ts';
import { repoRotateKey } from '../../src/cli/publish/repo-rotate-key.ts';
import { repoVerify } from '../../src/cli/publish/repo-verify.ts';
import type { Version } from '../../src/model.ts';
import { realFiles } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { takeLock } from '../../src/system/process/lock-file.ts';
import { createTrust } from '../../src/verify/client.ts';
import { dirMetadata } from '../../src/verify/metadata-fetch.ts';
import { makeBundle, someBytes, temporaryFolder } from '../support/bundles.ts';
import { refusalOf, runCommand } from '../support/command-line.ts';
import { demoUki } from '../support/uki.ts';

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;
const SIGNER = new URL('../bin/sign-with-openssl', import.meta.url).pathname;

const COMMANDS: Readonly<Record<string, Command>> = {
  'bundle patch': bundlePatch,
  'key generate': keyGenerate,
  'key show': keyShow,
  'repo init': repoInit,
  'repo add': repoAdd,
  'repo list': repoList,
  'repo promote': repoPromote,
  'repo remove': repoRemove,
  'repo refresh': repoRefresh,
  'repo rotate-key': repoRotateKey,
  'repo verify': repoVerify,
};

type Updatectl = (...args: string[]) => Promise<string>;

/** A publisher who works in `cwd`. */
const publisher =
  (cwd: string, env: Record<string, string> = {}): Updatectl =>
  (group = '', verb = '', ...rest) => {
    const command = COMMANDS[`${group} ${verb}`];
    assert.ok(command);
    return runCommand(command, cwd, rest, env);
  };

const refusal = (cwd: string, ...args: string[]): Promise<string> => refusalOf(publisher(cwd)(...args));

const root = someBytes(1024 * 1024);
const where = ['--repository', 'repo', '--keys', 'keys'];
// Before any test: while a file awaits something, the runner may finish the tests it has so far, and run the hooks.
const three = await makeThree();
after(() => three[Symbol.asyncDispose]());

test('from nothing to a channel that a host can follow', async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const updatectl = publisher(path);
  await makeBundle(join(path, 'one.bundle'), { root, uki: demoUki(root) });
  await updatectl('repo', 'init', '--repository', 'repo', '--keys', 'keys');
  for (const name of readdirSync(join(path, 'keys')).filter((one) => one.endsWith('.pem')))
    assert.equal(statSync(join(path, 'keys', name)).mode & 0o777, 0o600);
  const where = ['--repository', 'repo', '--keys', 'keys'];
  assert.match(await updatectl('repo', 'add', 'one.bundle', ...where), /Published demo 1\.0 \(counter 1\)/);
  await updatectl('repo', 'promote', '1.0', '--channel', 'stable', ...where);
  await updatectl('repo', 'refresh', ...where);
  const report = JSON.parse(await updatectl('repo', 'verify', '--repository', 'repo', '--json'));
  assert.equal(report.releases[0].version, '1.0');
  const trust = createTrust({
    files: realFiles,
    metadataDir: join(path, 'host'),
    floorsPath: join(path, 'floors.json'),
    embeddedRoot: await readFile(join(path, 'repo/metadata/1.root.json')),
    mirrors: [dirMetadata(join(path, 'repo'))],
    log: silentLog,
  });
  const trusted = await trust.refresh(new Date(), new AbortController().signal);
  const { product, version } = await trusted.channel('stable');
  const { bundle } = await trusted.release(product, version);
  assert.deepEqual(await readFile(join(path, 'repo', bundle.path)), await readFile(join(path, 'one.bundle')));
  assert.equal(await refusal(path, 'repo', 'remove', '1.0', ...where), 'release-in-use');
  assert.equal(await refusal(path, 'repo', 'init', ...where), 'repository-exists');
});

test('a release is published with the files that save hosts on older ones its download', async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const updatectl = publisher(path);
  const where = ['--repository', 'repo', '--keys', 'keys'];
  await updatectl('repo', 'init', ...where);
  const versions = ['1.0', '2.0', '3.0'];
  for (const [index, version] of versions.entries()) {
    const changed = new Uint8Array(root);
    changed.fill(index + 1, 0, 4096 * (index + 1));
    const images = { root: changed, uki: demoUki(changed, version) };
    await makeBundle(join(path, `${version}.bundle`), images, {
      about: { version: version as Version, counter: index + 1 },
    });
  }
  const add = async (version: string, ...rest: string[]): Promise<[string, string | undefined][]> => {
    const said = await updatectl('repo', 'add', `${version}.bundle`, ...rest, ...where, '--json');
    const { deltas } = JSON.parse(said) as { deltas: { kind: string; from?: { version: string }; size: number }[] };
    for (const { size } of deltas) assert.ok(size < 64 * 1024, `${size} bytes for a few blocks`);
    return deltas.map(({ kind, from }) => [kind, from?.version]);
  };
  assert.deepEqual(await add('1.0', '--patch-from', '0', '--no-blocks'), []);
  assert.deepEqual(await add('2.0'), [
    ['blocks', undefined],
    ['patch', '1.0'],
  ]);
  assert.deepEqual(await add('3.0', '--patch-from', '0'), [['blocks', undefined]]);
  const said = await updatectl(
    'bundle',
    'patch',
    '3.0.bundle',
    '--from',
    '1.0.bundle',
    '--from',
    '2.0.bundle',
    ...where,
  );
  assert.match(said, /patch 1\.0 → 3\.0: .*\n.*patch 2\.0 → 3\.0/);
  const report = JSON.parse(await updatectl('repo', 'verify', '--repository', 'repo', '--json'));
  assert.equal(report.files, 3 + 2 + 3);
  assert.deepEqual(readdirSync(join(path, 'repo')).sort(), ['metadata', 'targets'], 'nothing is left behind');
});

test('a damaged bundle is not published', async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await makeBundle(join(path, 'one.bundle'), { root, uki: demoUki(root) });
  await publisher(path)('repo', 'init', '--repository', 'repo', '--keys', 'keys');
  const bytes = await readFile(join(path, 'one.bundle'));
  bytes[bytes.length - 2000] = (bytes[bytes.length - 2000] ?? 0) ^ 1;
  writeFileSync(join(path, 'one.bundle'), bytes);
  assert.match(
    await refusal(path, 'repo', 'add', 'one.bundle', '--repository', 'repo', '--keys', 'keys'),
    /^(frame-|bundle-)/,
  );
  assert.deepEqual(readdirSync(join(path, 'repo/targets')), []);
});

test('encrypted keys ask for their passphrase, and only when they sign', async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  writeFileSync(join(path, 'secret'), 'open sesame\n', { mode: 0o600 });
  const where = ['--repository', 'repo', '--keys', 'keys'];
  await publisher(path)(
    'repo',
    'init',
    ...where,
    '--encrypt',
    '--passphrase-file',
    'secret',
    '--root-keys',
    '3',
    '--root-threshold',
    '2',
  );
  assert.match(readFileSync(join(path, 'keys/root-1.pem'), 'utf8'), /BEGIN ENCRYPTED PRIVATE KEY/);
  assert.match(readFileSync(join(path, 'keys/timestamp.pem'), 'utf8'), /BEGIN PRIVATE KEY/);
  await publisher(path)('repo', 'refresh', ...where);
  assert.equal(await refusal(path, 'repo', 'refresh', '--role', 'root', ...where), 'key-passphrase');
  await publisher(path, { TANDEM_PASSPHRASE: 'open sesame' })('repo', 'refresh', '--role', 'root', ...where);
  await publisher(path)('repo', 'refresh', '--role', 'root', '--passphrase-file', 'secret', ...where);
  writeFileSync(join(path, 'secret'), 'wrong\n');
  assert.equal(
    await refusal(path, 'repo', 'refresh', '--role', 'root', '--passphrase-file', 'secret', ...where),
    'key-passphrase',
  );
  assert.ok(existsSync(join(path, 'repo/metadata/3.root.json')));
  assert.ok(!existsSync(join(path, 'repo/metadata/4.root.json')));
});

test('a program can hold a key, and its signature is checked', async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const updatectl = publisher(path);
  await updatectl('repo', 'init', '--repository', 'repo', '--keys', 'keys');
  renameSync(join(path, 'keys/timestamp.pem'), join(path, 'vault.pem'));
  const where = ['--repository', 'repo', '--keys', 'keys'];
  assert.equal(await refusal(path, 'repo', 'refresh', ...where), 'key-unknown');
  await updatectl('repo', 'refresh', ...where, '--signer', `keys/timestamp.pub.json=${SIGNER} vault.pem`);
  await updatectl('repo', 'verify', '--repository', 'repo');
  const wrong = ['--signer', `keys/timestamp.pub.json=${SIGNER} keys/snapshot.pem`];
  assert.equal(await refusal(path, 'repo', 'refresh', ...where, ...wrong), 'signer-failed');
  assert.equal(
    await refusal(path, 'repo', 'refresh', ...where, '--signer', 'keys/timestamp.pub.json=/bin/false'),
    'signer-failed',
  );
  assert.equal(
    await refusal(path, 'repo', 'refresh', ...where, '--signer', 'keys/timestamp.pub.json=/bin/echo no'),
    'signer-failed',
  );
  assert.equal(await refusal(path, 'repo', 'refresh', ...where, '--signer', '/bin/false'), 'usage');
});

test('a root key can live in a program from the first day on', async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const updatectl = publisher(path);
  await updatectl('key', 'generate', 'vault');
  await publisher(path)('key', 'generate', 'other');
  const { mkdirSync, copyFileSync } = await import('node:fs');
  mkdirSync(join(path, 'keys'));
  copyFileSync(join(path, 'vault.pub.json'), join(path, 'keys/root-1.pub.json'));
  const signer = ['--signer', `keys/root-1.pub.json=${SIGNER} vault.pem`];
  await updatectl('repo', 'init', '--repository', 'repo', '--keys', 'keys', ...signer);
  assert.ok(!existsSync(join(path, 'keys/root-1.pem')));
  const rotation = ['timestamp', '--old', 'keys/timestamp.pub.json', '--new', 'other.pem'];
  await updatectl('repo', 'rotate-key', ...rotation, '--repository', 'repo', '--keys', 'keys', ...signer);
  assert.match(await updatectl('key', 'show', 'other.pub.json', '--repository', 'repo'), /Signs timestamp\./);
  await updatectl('repo', 'verify', '--repository', 'repo');
});

test('keys are never overwritten', async () => {
  await using folder = await temporaryFolder();
  await publisher(folder.path)('key', 'generate', 'mine');
  const before = readFileSync(join(folder.path, 'mine.pem'), 'utf8');
  assert.equal(await refusal(folder.path, 'key', 'generate', 'mine'), 'usage');
  assert.equal(readFileSync(join(folder.path, 'mine.pem'), 'utf8'), before);
});

test('a second publisher waits while the first lives, is then refused, and takes over when it is dead', async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const where = ['--repository', 'repo', '--keys', 'keys'];
  await publisher(path)('repo', 'init', ...where);
  const lock = join(path, 'repo/.publisher.lock');
  const atOnce = [...where, '--wait', '0'];
  {
    const held = await takeLock(lock);
    assert.ok(Symbol.asyncDispose in held);
    await using _ = held;
    assert.equal(await refusal(path, 'repo', 'refresh', ...atOnce), 'repository-locked');
  }
  const lockFile = new URL('../../src/system/process/lock-file.ts', import.meta.url).href;
  const script = `const { takeLock } = await import(${JSON.stringify(lockFile)}); await takeLock(${JSON.stringify(lock)}); console.log('held'); setInterval(() => {}, 1000);`;
  const other = spawn(
    'unshare',
    ['--pid', '--fork', '--kill-child', process.execPath, '--input-type=module', '-e', script],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  await once(other.stdout, 'data');
  await assert.rejects(publisher(path)('repo', 'refresh', ...atOnce), {
    code: 'repository-locked',
    message: /repo: process 1 on /,
  });
  const waiting = refusal(path, 'repo', 'refresh', ...where);
  other.kill('SIGKILL');
  assert.equal(await waiting, 'none');
  writeFileSync(lock, 'nonsense');
  await publisher(path)('repo', 'refresh', ...where);
});

test('many publishers at once: one works, the others are refused, and the repository stays whole', async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const where = ['--repository', 'repo', '--keys', 'keys'];
  await publisher(path)('repo', 'init', ...where);
  const atOnce = [...where, '--wait', '0'];
  const codes = await Promise.all(Array.from({ length: 5 }, () => refusal(path, 'repo', 'refresh', ...atOnce)));
  const done = codes.filter((code) => code === 'none').length;
  assert.deepEqual([...new Set(codes)].sort(), ['none', 'repository-locked']);
  assert.ok(done >= 1);
  const report = JSON.parse(await publisher(path)('repo', 'verify', '--repository', 'repo', '--json'));
  const timestamp = report.roles.find((one: { role: string }) => one.role === 'timestamp');
  assert.equal(timestamp.version, 1 + done);
});

test('what a clock or a lifetime forbids is done for whoever insists on just that', async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const where = ['--repository', 'repo', '--keys', 'keys'];
  await publisher(path)('repo', 'init', ...where);
  const refresh = (...rest: string[]): Promise<string> => refusal(path, 'repo', 'refresh', ...where, ...rest);
  assert.equal(await refresh('--expires', 'timestamp=3650'), 'lifetime-too-long');
  assert.equal(await refresh('--expires', 'timestamp=3650', '--insist', 'clock-behind'), 'lifetime-too-long');
  assert.equal(await refresh('--expires', 'timestamp=30', '--insist', 'lifetime-too-long'), 'none');
  assert.equal(await refresh(), 'expiry-earlier');
  assert.equal(await refresh('--insist', 'expiry-earlier'), 'none');
  await assert.rejects(publisher(path)('repo', 'refresh', ...where, '--insist', 'clock'), {
    code: 'usage',
    message: /--insist takes clock-behind, .*, not “clock”/,
  });
});

test('whoever signs by a clock that nothing keeps right is warned, and where that cannot be told nobody is', async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await publisher(path)('repo', 'init', '--repository', 'repo', '--keys', 'keys');
  const warned = async (timedatectl: string): Promise<string> => {
    writeFileSync(join(path, 'timedatectl'), `#!/bin/sh\n${timedatectl}\n`, { mode: 0o755 });
    const env = { ...process.env, PATH: `${path}:${process.env['PATH']}` };
    const args = [MAIN, 'repo', 'refresh', '--repository', 'repo', '--keys', 'keys'];
    return (await promisify(execFile)(process.execPath, args, { cwd: path, env })).stderr;
  };
  assert.match(await warned('echo no'), /^This clock is not synchronised/);
  for (const other of ['echo yes', 'exit 1', 'echo what', 'echo no; exit 1'])
    assert.equal(await warned(other), '', other);
});

test('two releases of one root image are refused', async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const where = ['--repository', 'repo', '--keys', 'keys'];
  await publisher(path)('repo', 'init', ...where);
  for (const [index, version] of ['1.0', '2.0'].entries())
    await makeBundle(
      join(path, `${version}.bundle`),
      { root, uki: demoUki(root, version) },
      { about: { version: version as Version, counter: index + 1 } },
    );
  await publisher(path)('repo', 'add', '1.0.bundle', ...where);
  await assert.rejects(publisher(path)('repo', 'add', '2.0.bundle', ...where), {
    code: 'root-hash-known',
    message: /^demo 1\.0 has the root hash [0-9a-f]{64} already\.$/,
  });
  await publisher(path)(
    'repo',
    'add',
    '2.0.bundle',
    ...where,
    '--insist',
    'root-hash-known',
    '--no-blocks',
    '--patch-from',
    '0',
  );
});

/** A repository with the releases 1.0 to 3.0, of which each differs from the one before; the bundle of 4.0 lies beside it. */
async function makeThree() {
  const folder = await temporaryFolder();
  const { path } = folder;
  await publisher(path)('repo', 'init', ...where);
  for (const counter of [1, 2, 3, 4]) {
    const changed = new Uint8Array(root).fill(counter, 0, 4096 * counter);
    const version = `${counter}.0` as Version;
    const images = { root: changed, uki: demoUki(changed, version) };
    await makeBundle(join(path, `${version}.bundle`), images, { about: { version, counter } });
    if (counter < 4) await publisher(path)('repo', 'add', `${version}.bundle`, ...where);
  }
  return folder;
}

/** A copy of them. */
async function withThree() {
  const folder = await temporaryFolder();
  const { path } = folder;
  await cp(three.path, path, { recursive: true });
  const stored = (version: string): string => {
    const at = join(path, 'repo/targets/releases/demo');
    return join(at, readdirSync(at).find((name) => name.endsWith(`.${version}.bundle`)) ?? '');
  };
  return { path, where, stored, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

test('a release is published and says so, although the bundle of an older one is missing or damaged', async () => {
  await using site = await withThree();
  rmSync(site.stored('2.0'));
  writeFileSync(site.stored('1.0'), 'no bundle');
  const warned: string[] = [];
  const args = ['4.0.bundle', '--patch-from', '3', ...site.where, '--json'];
  const said = await runCommand(repoAdd, site.path, args, {}, (text) => void warned.push(text));
  const { version, deltas } = JSON.parse(said) as {
    version: string;
    deltas: { kind: string; from?: { version: string } }[];
  };
  assert.equal(version, '4.0');
  assert.deepEqual(
    deltas.map(({ kind, from }) => [kind, from?.version]),
    [
      ['blocks', undefined],
      ['patch', '3.0'],
    ],
  );
  assert.equal(warned.length, 2, warned.join(''));
  assert.match(warned.join(''), /^No delta from an older release: .*2\.0\.bundle: there is no such file/);
});

test('what saves downloading may fail as a whole: the release is published, and the same command makes it later', async () => {
  await using site = await withThree();
  const warned: string[] = [];
  const add = async (...rest: string[]): Promise<number> => {
    const args = ['4.0.bundle', ...site.where, ...rest, '--json'];
    const said = await runCommand(repoAdd, site.path, args, {}, (text) => void warned.push(text));
    return (JSON.parse(said) as { deltas: unknown[] }).deltas.length;
  };
  renameSync(join(site.path, 'keys/releases.pem'), join(site.path, 'vault.pem'));
  const signer = (program: string): string[] => ['--signer', `keys/releases.pub.json=${program}`];
  const once = join(site.path, 'signs-once');
  writeFileSync(once, `#!/bin/sh\nmkdir ${site.path}/signed && exec ${SIGNER} ${site.path}/vault.pem\n`, {
    mode: 0o755,
  });
  assert.equal(await add(...signer(once)), 0);
  assert.match(
    warned.join(''),
    /^Hosts download the whole image of this release until you run this command again\. .*signs-once/,
  );
  assert.equal(await add(...signer(`${SIGNER} vault.pem`)), 2);
});

test('a fault of a bundle names the file that was given', async () => {
  await using site = await withThree();
  truncateSync(join(site.path, '4.0.bundle'), 8192);
  await assert.rejects(publisher(site.path)('repo', 'add', '4.0.bundle', ...site.where), (error: Error) => {
    assert.match(error.message, /4\.0\.bundle has 8192 bytes/);
    assert.doesNotMatch(error.message, /incoming/);
    return true;
  });
  assert.deepEqual(readdirSync(join(site.path, 'repo/targets')), ['releases']);
});

test('no command makes the folder in which there is no repository', async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  writeFileSync(join(path, 'x.bundle'), '');
  const nowhere = ['--repository', 'nowhere'];
  const commands = [
    ['add', 'x.bundle'],
    ['promote', '1.0', '--channel', 'stable'],
    ['remove', '1.0'],
    ['refresh'],
    ['rotate-key', 'timestamp', '--old', '0'.repeat(64), '--new', 'x.bundle'],
    ['verify'],
    ['list'],
  ];
  for (const args of commands) {
    const [name = ''] = args;
    assert.match(await refusal(path, 'repo', ...args, ...nowhere), /^(repository-missing|key-invalid)$/, name);
    assert.deepEqual(readdirSync(path), ['x.bundle'], name);
  }
});

test('a list shows what is offered where, without reading a bundle', async () => {
  await using site = await withThree();
  const run = publisher(site.path);
  await run('repo', 'promote', '2.0', '--channel', 'stable', ...site.where);
  await run('repo', 'promote', '3.0', '--channel', 'edge', '--insist', 'channel-new', ...site.where);
  for (const version of ['2.0', '3.0']) writeFileSync(site.stored(version), 'not read');
  rmSync(site.stored('1.0'));
  const list = (...rest: string[]): Promise<string> => run('repo', 'list', '--repository', 'repo', ...rest);
  const { releases, channels } = JSON.parse(await list('--json'));
  assert.deepEqual(
    releases.map((one: { version: string; offeredIn: string[]; missing: string[]; deltas: unknown[] }) => [
      one.version,
      one.offeredIn,
      one.missing.length,
      one.deltas.length,
    ]),
    [
      ['3.0', ['edge'], 0, 2],
      ['2.0', ['stable'], 0, 2],
      ['1.0', [], 1, 1],
    ],
  );
  assert.deepEqual(
    channels.map((one: { channel: string; version: string; to: string }) => [one.channel, one.version, one.to]),
    [
      ['edge', '3.0', 'all hosts'],
      ['stable', '2.0', 'all hosts'],
    ],
  );
  const text = await list();
  assert.match(text, /^demo +3\.0 +3 +x86-64 .* blocks, from 2\.0 +edge$/m);
  assert.match(text, /^demo +1\.0 .*MISSING targets\/releases\/demo\/[0-9a-f]{64}\.1\.0\.bundle$/m);
});

test('a channel that is damaged does not keep the others from being listed', async () => {
  await using site = await withThree();
  const run = publisher(site.path);
  for (const channel of ['stable', 'edge'])
    await run('repo', 'promote', '2.0', '--channel', channel, '--insist', 'channel-new', ...site.where);
  const at = join(site.path, 'repo/targets/channels');
  writeFileSync(join(at, readdirSync(at).find((name) => name.endsWith('.edge.json')) ?? ''), '{}');
  const text = await run('repo', 'list', '--repository', 'repo');
  assert.match(text, /^edge +DAMAGED: .*edge.*$/m);
  assert.match(text, /^stable +demo 2\.0 .*all hosts$/m);
});
