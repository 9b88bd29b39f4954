/** Locks of applications: real files that name who must not be interrupted, why and for how long. */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AppLock, appLocksGate, lockDuration, placeAppLock } from '../../../src/reboot/gates/app-locks.ts';
import { realFiles } from '../../../src/system/files.ts';

const NOW = new Date('2026-03-01T12:00:00.000Z');
const later = (minutes: number): string => new Date(NOW.getTime() + minutes * 60_000).toISOString();
const lock = (owner: string, minutes: number): AppLock => ({
  owner,
  reason: 'nightly dump',
  since: later(-5),
  until: later(minutes),
});
const ask = (dir: string, now = NOW) => appLocksGate(realFiles, dir, now);

async function inFolder(story: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'app-locks-'));
  try {
    await story(join(dir, 'inhibit.d'));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

test('without a file, and without a folder, nobody objects', () =>
  inFolder(async (dir) => {
    assert.equal((await ask(dir)).ok, true);
    await mkdir(dir);
    assert.equal((await ask(dir)).ok, true);
  }));

test('a lock names its owner, its reason, its end and how to lift it; it ends when it is released', () =>
  inFolder(async (dir) => {
    const release = await placeAppLock(realFiles, dir, lock('backup', 60), '1');
    assert.deepEqual(await ask(dir), {
      ok: false,
      code: 'app-lock',
      strength: 'soft',
      reason: 'backup must not be interrupted: nightly dump',
      since: new Date(later(-5)),
      next: new Date(later(60)),
      command: `rm ${join(dir, 'backup.1.json')}`,
    });
    await release();
    assert.deepEqual(await readdir(dir), []);
    assert.equal((await ask(dir)).ok, true);
  }));

test('what cannot even be read objects, and names the way out', () =>
  inFolder(async (dir) => {
    await mkdir(join(dir, 'backup.json'), { recursive: true });
    const said = await ask(dir);
    assert.ok(!said.ok && said.code === 'app-lock');
    assert.equal(said.command, `rm -r ${join(dir, 'backup.json')}`);
  }));

test('a lock whose owner has crashed ends by itself', () =>
  inFolder(async (dir) => {
    await placeAppLock(realFiles, dir, lock('backup', 60), '1');
    assert.equal((await ask(dir, new Date(later(59)))).ok, false);
    assert.equal((await ask(dir, new Date(later(60)))).ok, true);
  }));

test('of several locks the one that lasts longest is named, and the others are counted', () =>
  inFolder(async (dir) => {
    for (const [id, minutes] of [10, 90, 30].entries())
      await placeAppLock(realFiles, dir, lock(`job-${minutes}`, minutes), String(id));
    const verdict = await ask(dir);
    assert.match(verdict.ok ? '' : verdict.reason, /^job-90 .*, and 2 more$/);
  }));

test('whatever a file holds, it is either a lock or an objection that names the file', async () => {
  await inFolder(async (dir) => {
    await mkdir(dir);
    const path = join(dir, 'x.json');
    const contents = fc.oneof(
      fc.uint8Array({ maxLength: 5000 }),
      fc.json().map((text) => Buffer.from(text)),
      fc.nat({ max: 150 }).map((end) => Buffer.from(JSON.stringify(lock('backup', 60))).subarray(0, end)),
    );
    await fc.assert(
      fc.asyncProperty(contents, async (bytes) => {
        await writeFile(path, bytes);
        const verdict = await ask(dir);
        const isWhole = Buffer.from(bytes).equals(Buffer.from(JSON.stringify(lock('backup', 60))));
        assert.ok(!verdict.ok && verdict.strength === 'soft' && verdict.code === 'app-lock');
        assert.equal(verdict.reason.includes(path), !isWhole);
      }),
      { numRuns: 200 },
    );
  });
});

test('half-written files and files of other kinds are no locks', () =>
  inFolder(async (dir) => {
    await mkdir(dir);
    await writeFile(join(dir, '.backup.json.tmp'), '{');
    await writeFile(join(dir, 'README'), 'x');
    assert.equal((await ask(dir)).ok, true);
  }));

test('an owner that could name another file is refused, and a reason without end is shortened', () =>
  inFolder(async (dir) => {
    await assert.rejects(placeAppLock(realFiles, dir, lock('../../etc/x', 1), '1'), { code: 'usage' });
    await placeAppLock(realFiles, dir, { ...lock('a', 1), reason: 'x'.repeat(5000) }, '1');
    const said = await ask(dir);
    assert.ok(!said.ok && /^a must not be interrupted: x+…$/.test(said.reason));
  }));

test('durations are a number with a unit, of a week at most', () => {
  assert.deepEqual(['30s', '90m', '2h', '7d'].map(lockDuration), [30_000, 5_400_000, 7_200_000, 604_800_000]);
  for (const text of ['', '0m', '2', '8d', '2 h', '-1h', '1e3m', '99999d'])
    assert.throws(() => lockDuration(text), { code: 'usage' });
});
