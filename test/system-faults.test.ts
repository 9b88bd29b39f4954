/** Failed system calls, as an operator is told of them. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { asUpdateError, type UpdateError } from '../src/errors.ts';
import { realFiles, replaceFile, writePart } from '../src/system/files.ts';

let dir = '';
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tandem-faults-'));
});
after(() => rm(dir, { recursive: true, force: true }));

const faultOf = (attempt: () => Promise<unknown>): Promise<UpdateError> =>
  attempt().then(
    () => assert.fail('it succeeds'),
    (error: unknown) => asUpdateError(error),
  );

test('a full disk is named with the path, whether a file is opened, written or synced on it', async () => {
  const full = join(dir, 'full');
  await mkdir(full);
  assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'full', full]).status, 0);
  try {
    for (const attempt of [
      () => replaceFile(realFiles, join(full, 'a'), Buffer.alloc(1 << 20)),
      () => writePart(join(full, 'b'), 0, Buffer.alloc(1 << 20)),
      () => realFiles.write('/dev/full', [Buffer.from('x')]),
    ]) {
      const { code, message } = await faultOf(attempt);
      assert.equal(code, 'file-system-full');
      assert.match(message, /full/);
      assert.doesNotMatch(message, /^A file/);
    }
  } finally {
    spawnSync('umount', [full]);
  }
});

test('a folder, a link, a file on the way, a name that is too long: what is there cannot be used', async () => {
  await writeFile(join(dir, 'file'), '');
  await symlink('/dev/null', join(dir, 'link'));
  for (const attempt of [
    () => realFiles.read(dir),
    () => realFiles.write(join(dir, 'link'), []),
    () => realFiles.makeDir(join(dir, 'file', 'below')),
    () => realFiles.write(join(dir, 'x'.repeat(300)), []),
  ])
    assert.equal((await faultOf(attempt)).code, 'file-unsuitable');
});

test('a port that is taken is named with its address', async () => {
  const first = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => first.once('listening', resolve));
  const taken = first.address();
  assert.ok(taken && typeof taken === 'object');
  const second = createServer().listen(taken.port, '127.0.0.1');
  const fault = asUpdateError(await new Promise((resolve) => second.once('error', resolve)));
  first.close();
  assert.equal(fault.code, 'address-unavailable');
  assert.match(fault.message, new RegExp(`127\\.0\\.0\\.1 port ${taken.port}`));
});

test('a name without an address is named where somebody wants to listen on it', async () => {
  const server = createServer().listen(0, 'no-such-host.invalid');
  const fault = asUpdateError(await new Promise((resolve) => server.once('error', resolve)));
  assert.equal(fault.code, 'address-unavailable');
  assert.match(fault.message, /^no-such-host\.invalid: /);
});

test('what is no failed call on a file or an address keeps the name for what is not known', () => {
  const refused = Object.assign(new Error('connect ENOENT'), { code: 'ENOENT', syscall: 'connect' });
  for (const error of [refused, new Error('x'), 'x', Object.assign(new Error('x'), { code: 'ENOSPC' })])
    assert.equal(asUpdateError(error).code, 'unexpected');
});
