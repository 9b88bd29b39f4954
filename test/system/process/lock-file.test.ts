/** A lock that the kernel holds: one at a time, whoever dies and whatever becomes of the file. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { cleanLine } from '../../../src/clean-text.ts';
import { lockFault, takeLock } from '../../../src/system/process/lock-file.ts';
import { temporaryFolder } from '../../support/bundles.ts';

async function held(path: string): Promise<AsyncDisposable> {
  const lock = await takeLock(path);
  assert.ok(!('heldBy' in lock), JSON.stringify(lock));
  return lock;
}

const holder = async (path: string): Promise<string> => {
  const lock = await takeLock(path);
  if ('heldBy' in lock) return lock.heldBy;
  await lock[Symbol.asyncDispose]();
  return 'nobody';
};

test('one holds it, the others are told who does, and it can be had again afterwards', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'lock');
  {
    await using _ = await held(path);
    assert.match(await holder(path), new RegExp(`^process ${process.pid} on `));
    assert.match(await holder(path), /^process /, 'asking does not take it away');
  }
  assert.ok(!existsSync(path), 'nothing is left behind');
  assert.equal(await holder(path), 'nobody');
});

test('of many who ask at once, never two hold it', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'lock');
  let [now, most, times] = [0, 0, 0];
  const worker = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) {
      const lock = await takeLock(path);
      if ('heldBy' in lock) continue;
      now += 1;
      times += 1;
      most = Math.max(most, now);
      await new Promise(setImmediate);
      now -= 1;
      await lock[Symbol.asyncDispose]();
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  assert.equal(most, 1);
  assert.ok(times > 8);
});

test('in another PID namespace it is held all the same, and given back when its owner is killed', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'lock');
  const module = new URL('../../../src/system/process/lock-file.ts', import.meta.url).href;
  const script = `const { takeLock } = await import('${module}'); await takeLock('${path}'); console.log('held'); setInterval(() => {}, 1000);`;
  const args = ['--pid', '--fork', '--kill-child', process.execPath, '--input-type=module', '-e', script];
  const other = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(other.stdout, 'data');
  assert.match(await holder(path), /^process 1 on /);
  other.kill('SIGKILL');
  await once(other.stdout, 'close');
  assert.equal(await holder(path), 'nobody');
});

test('what lies at its place from before is no lock, and nobody removes the file of another', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'lock');
  await writeFile(path, '{"pid":1,"started":"7","token":"x"}');
  const first = await held(path);
  await rename(path, join(folder.path, 'elsewhere'));
  await using _ = await held(path);
  await first[Symbol.asyncDispose]();
  assert.match(await holder(path), /^process /);
});

test('what is no file of ours is refused by name', async () => {
  await using folder = await temporaryFolder();
  const at = (name: string): string => join(folder.path, name);
  mkdirSync(at('folder'));
  writeFileSync(at('file'), '');
  symlinkSync(at('file'), at('link'));
  for (const name of ['folder', 'link', 'none/lock', 'file/lock'])
    await assert.rejects(takeLock(at(name)), { code: 'file-unlockable' }, name);
  await rm(at('file'));
});

/** Does `deed` where this stands in for flock; nothing does where there is no `script`. */
async function withFlock(
  script: string | undefined,
  mode: number,
  deed: (path: string) => Promise<void>,
): Promise<void> {
  await using folder = await temporaryFolder();
  const tools = join(folder.path, 'tools');
  mkdirSync(tools);
  if (script !== undefined) writeFileSync(join(tools, 'flock'), `#!/bin/sh\n${script}\n`, { mode });
  const before = process.env['PATH'];
  process.env['PATH'] = tools;
  try {
    await deed(join(folder.path, 'lock'));
  } finally {
    process.env['PATH'] = before;
  }
}

test('what flock says of a file that cannot be locked is told, and so is what keeps it from saying anything', async () => {
  const refused = (message: RegExp) => (path: string) =>
    assert.rejects(takeLock(path), { code: 'file-unlockable', message });
  await withFlock('echo "flock: 3: No locks available" >&2; exit 1', 0o755, refused(/flock: 3: No locks available\.$/));
  await withFlock('exit 64', 0o755, refused(/flock was stopped\.$/));
  await withFlock('kill -9 $$', 0o755, refused(/flock was stopped\.$/));
  await withFlock('exit 1', 0o755, async (path) =>
    assert.deepEqual(await takeLock(path), { heldBy: 'another process' }),
  );
  await withFlock('exit 0', 0o644, (path) => assert.rejects(takeLock(path), { code: 'EACCES' }));
  await withFlock(undefined, 0, (path) => assert.rejects(takeLock(path), { code: 'tool-missing' }));
});

test('who holds a lock is told in one line, whatever its file says', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'lock');
  await using _ = await held(path);
  for (const [content, shown] of [
    ['', 'another process'],
    ['\u001b[2J\n', cleanLine('\u001b[2J\n')],
    ['x'.repeat(1000), 'x'.repeat(200)],
  ] as const) {
    writeFileSync(path, content);
    assert.equal(await holder(path), shown);
  }
});

test('a file system whose locks others do not see is refused', () => {
  const mounted = (type: string, options: string): string | undefined =>
    lockFault(
      `21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/a rw\n77 21 0:50 / /srv rw shared:9 master:3 - ${type} host:/x ${options}\n`,
      '77',
    );
  for (const [type, options] of [
    ['nfs4', 'rw,vers=4.2,local_lock=none,addr=192.0.2.1'],
    ['nfs', 'rw,vers=3,local_lock=none,addr=192.0.2.1'],
    ...['ext4', 'xfs', 'btrfs', 'overlay', 'tmpfs', 'zfs', 'fuseblk', 'fuse.fuse-overlayfs', 'ceph'].map((one) => [
      one,
      'rw',
    ]),
  ] as const)
    assert.equal(mounted(type, options), undefined, type);
  for (const [type, options] of [
    ['nfs', 'rw,vers=3,nolock,local_lock=all,addr=192.0.2.1'],
    ['nfs4', 'rw,vers=4.2,local_lock=flock,addr=192.0.2.1'],
    ...['cifs', 'smb3', '9p', 'virtiofs', 'fuse', 'fuse.sshfs'].map((one) => [one, 'rw'] as const),
  ] as const)
    assert.match(mounted(type, options) ?? '', /lock/, type);
  assert.equal(lockFault('', '77'), undefined, 'where nothing is known, the kernel is asked');
});
