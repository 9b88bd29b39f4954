/** Who is logged in is told of the restart once, has the grace, and then no longer holds the machine up. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { keptGrace } from '../../../src/reboot/gates/grace.ts';
import { createSessionsGate, readSessions, type SessionsGate } from '../../../src/reboot/gates/sessions.ts';
import type { Exec } from '../../../src/system/exec.ts';
import { type Files, realFiles } from '../../../src/system/files.ts';
import { noFiles } from '../../support/no-files.ts';

type Login = Readonly<{ user: string; kind?: string; state?: string; tty?: string; host?: string; idle?: boolean }>;

const at = (minute: number): Date => new Date(Date.UTC(2026, 2, 4, 12, minute));
const GRACE = 10 * 60_000;

const gateOf = (exec: Exec, graceMs: number, files = noFiles) =>
  createSessionsGate(exec, graceMs, keptGrace(files, '/run/tandem', graceMs));

/** A logind with these sessions, and what was broadcast. */
function logind(logins: readonly Login[]) {
  const told: string[] = [];
  const said = (stdout: string, exitCode = 0) => ({ exitCode, stdout, stderr: '', timedOut: false });
  const exec: Exec = async (program, args) => {
    if (program === 'systemd-run') {
      told.push(args.at(-1) ?? '');
      return said('');
    }
    if (args.includes('ListSessions')) {
      const rows = logins.map(({ user }, index) => [
        `${index}`,
        1000,
        user,
        'seat0',
        `/org/freedesktop/login1/session/_3${index}`,
      ]);
      return said(JSON.stringify({ type: 'a(susso)', data: [rows] }));
    }
    const index = Number(/_3(\d+)$/.exec(args.find((arg) => arg.includes('/session/')) ?? '')?.[1]);
    const { kind = 'user', state = 'active', tty = '', host = '', idle = false } = logins[index] ?? { user: '' };
    return said([kind, state, tty, '', host, idle].map((data) => JSON.stringify({ type: '?', data })).join('\n'));
  };
  return { exec, told };
}

test('people count; greeters, lock screens, service managers, jobs, unfinished logins and ended sessions do not', async () => {
  const { exec } = logind([
    { user: 'ana', tty: 'tty1' },
    { user: 'ben', tty: 'pts/0', host: '192.0.2.7' },
    { user: 'gdm', kind: 'greeter', tty: 'tty1' },
    { user: 'ana', kind: 'manager' },
    { user: 'cron', kind: 'background' },
    { user: 'cid', tty: 'tty2', state: 'closing' },
    { user: 'ana', kind: 'lock-screen', tty: 'tty3' },
    { user: 'dan', kind: 'user-incomplete', tty: 'pts/1' },
    { user: 'root', kind: 'user-early-light', tty: 'pts/2' },
  ]);
  assert.deepEqual(await readSessions(exec), [
    { user: 'ana', where: 'tty1', isIdle: false },
    { user: 'ben', where: 'pts/0 from 192.0.2.7', isIdle: false },
    { user: 'root', where: 'pts/2', isIdle: false },
  ]);
});

test('a shell that somebody has left behind holds nobody up, and is not told', async () => {
  const { exec, told } = logind([{ user: 'ana', tty: 'pts/0', idle: true }]);
  assert.equal((await gateOf(exec, GRACE).verdict(at(0), true)).open, true);
  assert.deepEqual(told, []);
});

test('who was told has the whole time, even without touching a key', async () => {
  const logins = [{ user: 'ana', tty: 'pts/0', idle: false }];
  const gate = gateOf(logind(logins).exec, GRACE);
  await gate.verdict(at(0), true);
  logins[0] = { user: 'ana', tty: 'pts/0', idle: true };
  const gone = gateOf(logind(logins).exec, GRACE);
  assert.deepEqual(
    [
      (await gate.verdict(at(9), true)).open,
      (await gate.verdict(at(10), true)).open,
      (await gone.verdict(at(9), true)).open,
    ],
    [false, true, true],
  );
});

test('where logind does not answer nobody is waited for', async () => {
  const missing: Exec = async () => {
    throw new Error('no busctl');
  };
  assert.equal((await gateOf(missing, GRACE).verdict(at(0), true)).open, true);
});

test('where people cannot be told, their time runs and ends all the same', async () => {
  const { exec } = logind([{ user: 'ana', tty: 'tty1' }]);
  const mute: Exec = async (program, args, options) => {
    if (program === 'systemd-run') throw new Error('spawn systemd-run ENOENT');
    return exec(program, args, options);
  };
  const gate = gateOf(mute, GRACE);
  const verdict = await gate.verdict(at(0), true);
  assert.ok(!verdict.open && verdict.next?.getTime() === at(10).getTime());
  assert.equal((await gate.verdict(at(9), true)).open, false);
  assert.equal((await gate.verdict(at(10), true)).open, true);
});

test('users are told once, the gate says until when they have, and then it opens', async () => {
  const { exec, told } = logind([{ user: 'ana', tty: 'tty1' }, { user: 'ben' }]);
  const gate = gateOf(exec, GRACE);
  assert.deepEqual(await gate.verdict(at(0), true), {
    open: false,
    code: 'users-logged-in',
    strength: 'soft',
    reason: 'ana is logged in on tty1, and 1 more',
    since: at(0),
    next: at(10),
    command: 'updatectl apply',
  });
  assert.equal((await gate.verdict(at(9), true)).open, false);
  assert.equal((await gate.verdict(at(10), true)).open, true);
  assert.equal(told.length, 1);
  assert.match(told[0] ?? '', /in 10 minutes\..*updatectl inhibit/);
});

test('nobody is told while something else objects, and the grace begins anew after it', async () => {
  const { exec, told } = logind([{ user: 'ana', tty: 'tty1' }]);
  const gate = gateOf(exec, GRACE);
  await gate.verdict(at(0), false);
  assert.equal(told.length, 0);
  await gate.verdict(at(1), true);
  await gate.verdict(at(5), false);
  const again = await gate.verdict(at(20), true);
  assert.ok(!again.open && again.next?.getTime() === at(30).getTime());
  assert.equal(told.length, 2);
});

/** A runtime folder of its own, in which agents follow one another. */
async function inFolder(work: (start: (exec: Exec) => SessionsGate, path: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-grace-'));
  const start = (exec: Exec) => createSessionsGate(exec, GRACE, keptGrace(realFiles, dir, GRACE));
  await work(start, join(dir, 'users-told')).finally(() => rm(dir, { recursive: true }));
}

test('an agent that is started anew goes on counting, and tells nobody again', () =>
  inFolder(async (start) => {
    const { exec, told } = logind([{ user: 'ana', tty: 'tty1' }]);
    await start(exec).verdict(at(0), true);
    const late = await start(exec).verdict(at(9), true);
    assert.ok(!late.open && late.next?.getTime() === at(10).getTime());
    assert.equal((await start(exec).verdict(at(10), true)).open, true);
    assert.equal(told.length, 1);
  }));

test('one that comes long after the time, or before it by its clock, tells people anew', () =>
  inFolder(async (start) => {
    const { exec, told } = logind([{ user: 'ana', tty: 'tty1' }]);
    await start(exec).verdict(at(20), true);
    assert.equal((await start(exec).verdict(at(19), true)).open, false);
    assert.equal((await start(exec).verdict(at(35), true)).open, false);
    assert.equal(told.length, 3);
  }));

test('what was told is forgotten with the last of those who were told', () =>
  inFolder(async (start, path) => {
    await start(logind([{ user: 'ana' }]).exec).verdict(at(0), true);
    assert.ok(await realFiles.read(path));
    await start(logind([]).exec).verdict(at(1), true);
    assert.equal(await realFiles.read(path), undefined);
  }));

test('whatever lies in the place of the file, people have their time', () =>
  fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.uint8Array(),
        fc.string().map((text) => Buffer.from(text)),
      ),
      (bytes) =>
        inFolder(async (start, path) => {
          await writeFile(path, bytes);
          assert.equal((await start(logind([{ user: 'ana' }]).exec).verdict(at(1), true)).open, false);
        }),
    ),
    { numRuns: 50 },
  ));

test('where the file cannot be written the time runs all the same', async () => {
  const full: Files = { ...noFiles, write: () => Promise.reject(new Error('ENOSPC')) };
  const { exec, told } = logind([{ user: 'ana' }]);
  const gate = gateOf(exec, GRACE, full);
  await gate.verdict(at(0), true);
  assert.equal((await gate.verdict(at(10), true)).open, true);
  assert.equal(told.length, 1);
});

test('a grace of nothing asks nobody', async () => {
  const { exec, told } = logind([{ user: 'ana', tty: 'tty1' }]);
  assert.equal((await gateOf(exec, 0).verdict(at(0), true)).open, true);
  assert.equal(told.length, 0);
});

test('whatever busctl prints, the gate gives an answer without control characters', async () => {
  const row = fc.tuple(fc.anything(), fc.anything(), fc.string({ unit: 'binary' }), fc.string(), fc.string());
  const answer = fc.oneof(
    fc.string(),
    fc.json(),
    fc.array(row).map((rows) => JSON.stringify({ data: [rows] })),
    fc
      .string({ unit: 'binary' })
      .map((user) => JSON.stringify({ data: [['1', 0, user, '', '/org/freedesktop/login1/session/_31']] })),
  );
  const properties = fc.oneof(
    fc.string(),
    fc
      .string({ unit: 'binary' })
      .map((tty) => ['user', 'active', tty].map((data) => JSON.stringify({ data })).join('\n')),
  );
  await fc.assert(
    fc.asyncProperty(answer, properties, async (list, shown) => {
      const exec: Exec = async (_, args) => ({
        exitCode: 0,
        stdout: args.includes('ListSessions') ? list : shown,
        stderr: '',
        timedOut: false,
      });
      const verdict = await gateOf(exec, GRACE).verdict(at(0), true);
      assert.ok(verdict.open || !/\p{Cc}/u.test(verdict.reason));
    }),
  );
});
