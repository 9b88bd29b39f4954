/** `make install`: every listed file, with its mode, inside the tree and nowhere else. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/bundles.ts';

const TOP = join(import.meta.dirname, '../..');
const INSTALL = join(TOP, 'packaging/install');
const PACKAGES = ['tandem', 'tandem-server', 'tandem-publisher'];
const LIST = readFileSync(join(TOP, 'packaging/files.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [name = '', mode = '', path = '', source = '', ...rest] = line.split(' ');
    assert.deepEqual(rest, [], line);
    return { name, mode, path, source };
  });

/** A folder with a stand-in for all that `make build` makes. */
async function workshop() {
  const folder = await temporaryFolder();
  const built = join(folder.path, 'built');
  mkdirSync(built);
  for (const { source } of LIST)
    if (source.startsWith('dist/')) writeFileSync(join(built, source.slice('dist/'.length)), `${source}\n`);
  writeFileSync(join(folder.path, 'node'), 'a runtime\n', { mode: 0o600 });
  const install = (to: string, packages = PACKAGES, umask = '022') => {
    const env = { ...process.env, DESTDIR: to, NODE: join(folder.path, 'node'), BUILT: built };
    const call = `umask ${umask}; exec "${INSTALL}" ${packages.join(' ')}`;
    const { status, stdout, stderr } = spawnSync('sh', ['-c', call], { cwd: folder.path, env, encoding: 'utf8' });
    return { status, said: stdout + stderr };
  };
  return { path: folder.path, install, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

const modeOf = (path: string): string => (lstatSync(path).mode & 0o7777).toString(8);

/** Everything below a folder, with its mode. */
const contents = (top: string): readonly string[] =>
  readdirSync(top, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((path) => `${path} ${modeOf(join(top, path))}`);

test('the list names every file once, from a source that exists', () => {
  assert.equal(new Set(LIST.map(({ path }) => path)).size, LIST.length);
  for (const { name, mode, path, source } of LIST) {
    assert.ok(PACKAGES.includes(name) && /^(644|755)$/.test(mode) && /^\/(usr|etc)\//.test(path), path);
    if (!/^(NODE|-|dist\/.*)$/.test(source)) assert.ok(existsSync(join(TOP, source)), source);
    assert.equal(source === '-', path.endsWith('/'), path);
  }
});

test('every unit of a host is in the list', () => {
  const listed = LIST.map(({ source }) => source);
  const files = readdirSync(join(TOP, 'systemd')).map((name) => `systemd/${name}`);
  assert.deepEqual(
    files.filter((file) => !listed.includes(file)),
    [],
  );
});

for (const [umask, to] of [
  ['077', './a tree'],
  ['000', 'tree'],
] as const)
  test(`every file has its mode with the umask ${umask}, in ${to}, also the second time`, async () => {
    await using shop = await workshop();
    const tree = join(shop.path, to);
    assert.deepEqual(shop.install(to, PACKAGES, umask), { status: 0, said: '' });
    const first = contents(tree);
    for (const { mode, path } of LIST) {
      assert.equal(modeOf(join(tree, path)), mode, path);
      for (let dir = dirname(join(tree, path)); dir !== tree; dir = dirname(dir)) assert.equal(modeOf(dir), '755', dir);
      if (process.getuid?.() === 0) assert.equal(statSync(join(tree, path)).uid, 0);
    }
    assert.equal(readFileSync(join(tree, 'usr/lib/tandem/node'), 'utf8'), 'a runtime\n');
    assert.deepEqual(shop.install(to, PACKAGES, umask), { status: 0, said: '' });
    assert.deepEqual(contents(tree), first);
  });

test('one package brings only its own files, and an unknown one none', async () => {
  await using shop = await workshop();
  assert.match(shop.install('none', ['tandem', 'tandem-x']).said, /no package 'tandem-x'/);
  assert.equal(existsSync(join(shop.path, 'none')), false);
  shop.install('server', ['tandem-server']);
  assert.equal(existsSync(join(shop.path, 'server/usr/lib/tandem')), false);
  assert.equal(existsSync(join(shop.path, 'server/etc/default/tandem-server')), true);
});

test('a link in the tree never leads to files outside of it, and folders of the tree keep their modes', async () => {
  await using shop = await workshop();
  const outside = join(shop.path, 'outside');
  mkdirSync(outside);
  mkdirSync(join(shop.path, 'tree/usr'), { recursive: true, mode: 0o700 });
  symlinkSync(outside, join(shop.path, 'tree/usr/share'));
  const { status, said } = shop.install('tree');
  assert.equal(status, 1);
  assert.match(said, /leads out of tree/);
  assert.deepEqual(readdirSync(outside), []);
  assert.equal(modeOf(join(shop.path, 'tree/usr')), '700');
});

test('a file that another tree shares by a hard link stays as it is there, and a link to a file is replaced', async () => {
  await using shop = await workshop();
  const [tree, base] = [join(shop.path, 'tree'), join(shop.path, 'base')];
  mkdirSync(join(tree, 'usr/bin'), { recursive: true });
  writeFileSync(base, 'of the base\n');
  linkSync(base, join(tree, 'usr/bin/updatectl'));
  mkdirSync(join(tree, 'usr/lib/tandem'), { recursive: true });
  symlinkSync(base, join(tree, 'usr/lib/tandem/node'));
  assert.equal(shop.install('tree').status, 0);
  assert.equal(readFileSync(base, 'utf8'), 'of the base\n');
  assert.equal(readFileSync(join(tree, 'usr/lib/tandem/node'), 'utf8'), 'a runtime\n');
  assert.match(readFileSync(join(tree, 'usr/bin/updatectl'), 'utf8'), /exec \/usr\/lib\/tandem\/node/);
});

test('a runtime that is too old is refused before anything is installed', async () => {
  await using shop = await workshop();
  for (const [version, status] of [
    ['v24.14.9', 1],
    ['v9.0.0', 1],
    ['v24.15.0', 0],
    ['v100.0.0', 0],
  ] as const) {
    writeFileSync(join(shop.path, 'node'), `#!/bin/sh\necho ${version}\n`);
    chmodSync(join(shop.path, 'node'), 0o755);
    assert.equal(shop.install(version).status, status, version);
    assert.equal(existsSync(join(shop.path, version)), status === 0, version);
  }
});

test('a program of systemd with the same name steps aside, and ours does not the next time', async () => {
  await using shop = await workshop();
  const bin = join(shop.path, 'tree/usr/bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'updatectl'), 'of systemd\n');
  for (const round of ['first', 'second']) {
    assert.equal(shop.install('tree').status, 0);
    assert.deepEqual(readdirSync(bin).sort(), ['updatectl', 'updatectl.systemd'], round);
    assert.equal(readFileSync(join(bin, 'updatectl.systemd'), 'utf8'), 'of systemd\n');
  }
});

test('in a tree with systemd the units are enabled as its presets say, and the users exist', async () => {
  await using shop = await workshop();
  const tree = join(shop.path, 'tree');
  for (const dir of ['usr/lib/systemd/system', 'etc/systemd/system-preset'])
    mkdirSync(join(tree, dir), { recursive: true });
  writeFileSync(join(tree, 'etc/os-release'), 'ID=shop\n');
  writeFileSync(join(tree, 'etc/systemd/system-preset/00-shop.preset'), 'disable tandem-server.*\n');
  assert.deepEqual(shop.install('tree').status, 0);
  const wanted = (target: string) => readdirSync(join(tree, `etc/systemd/system/${target}`)).sort();
  assert.deepEqual(wanted('multi-user.target.wants'), ['tandem-agent.service']);
  assert.deepEqual(wanted('boot-complete.target.requires'), ['tandem-confirm.service']);
  assert.deepEqual(wanted('sysinit.target.wants'), [
    'tandem-dead-man.timer',
    'tandem-machine-id.service',
    'tandem-trial-began.service',
  ]);
  assert.deepEqual(wanted('timers.target.wants'), ['tandem-publisher.timer']);
  assert.equal(
    readlinkSync(join(tree, 'etc/systemd/system/multi-user.target.wants/tandem-agent.service')),
    '/usr/lib/systemd/system/tandem-agent.service',
  );
  assert.match(readFileSync(join(tree, 'etc/group'), 'utf8'), /^tandem:/m);
  assert.match(readFileSync(join(tree, 'etc/passwd'), 'utf8'), /^tandem-publisher:/m);
});
