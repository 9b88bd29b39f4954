/** A lock file between processes: whoever races for that of a dead owner, there is one owner afterwards. */

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock, test } from 'node:test';
import { takeLock } from '../../src/system/lock-file.ts';

const DEAD = '{"pid":999999999,"started":"1","token":"dead"}';

/** The lock of a living process: this one, as somebody else has taken it. */
function living(): string {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return `{"pid":${process.pid},"started":"${started}","token":"of another"}`;
}

async function inFolder(deed: (path: string, dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-lock-'));
  await deed(join(dir, 'lock'), dir).finally(() => rmSync(dir, { recursive: true }));
}

/** Right before the first call of `name`, somebody else does `deed`. */
async function racing<T>(name: 'rename' | 'link' | 'readFile', deed: () => void, work: () => Promise<T>): Promise<T> {
  const real = promises[name] as (...args: unknown[]) => Promise<unknown>;
  const spy = mock.method(promises, name, (...args: unknown[]) => {
    if (spy.mock.callCount() === 0) deed();
    return real(...args);
  });
  syncBuiltinESMExports();
  try {
    return await work();
  } finally {
    spy.mock.restore();
    syncBuiltinESMExports();
  }
}

const heldBy = (lock: Awaited<ReturnType<typeof takeLock>>): number | undefined =>
  'heldBy' in lock ? lock.heldBy : undefined;

test('a lock is taken once, told who holds it, and given back with nothing left', () =>
  inFolder(async (path, dir) => {
    {
      const lock = await takeLock(path);
      assert.equal(heldBy(lock), undefined);
      await using _ = lock as AsyncDisposable;
      assert.equal(heldBy(await takeLock(path)), process.pid);
    }
    assert.deepEqual(readdirSync(dir), []);
  }));

for (const [what, content] of [
  ['of a dead owner', DEAD],
  ['of a process whose number another has now', `{"pid":${process.pid},"started":"1","token":"old"}`],
  ['that says nothing', ''],
  ['that somebody else has written', 'hello'],
] as const)
  test(`a lock ${what} is taken over`, () =>
    inFolder(async (path, dir) => {
      writeFileSync(path, content);
      const lock = await takeLock(path);
      assert.equal(heldBy(lock), undefined);
      assert.deepEqual(readdirSync(dir), ['lock']);
      assert.notEqual(readFileSync(path, 'utf8'), content);
    }));

test('who comes second for the lock of a dead owner puts back what the first has taken', () =>
  inFolder(async (path, dir) => {
    writeFileSync(path, DEAD);
    const other = living();
    const lock = await racing(
      'rename',
      () => writeFileSync(path, other),
      () => takeLock(path),
    );
    assert.equal(heldBy(lock), process.pid);
    assert.equal(readFileSync(path, 'utf8'), other);
    assert.deepEqual(readdirSync(dir), ['lock']);
  }));

test('a lock that is given back while it is asked for is taken', () =>
  inFolder(async (path) => {
    writeFileSync(path, living());
    const lock = await racing(
      'readFile',
      () => rmSync(path),
      () => takeLock(path),
    );
    assert.equal(heldBy(lock), undefined);
  }));

test('who gives back a lock that another has meanwhile leaves it', () =>
  inFolder(async (path) => {
    const lock = (await takeLock(path)) as AsyncDisposable;
    writeFileSync(path, living());
    await lock[Symbol.asyncDispose]();
    assert.equal(readFileSync(path, 'utf8'), living());
  }));
