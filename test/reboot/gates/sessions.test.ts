/** Who is logged in is told of the restart once, has the grace, and then no longer holds the machine up. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createSessionsGate, readSessions } from '../../../src/reboot/gates/sessions.ts';
import type { Exec } from '../../../src/system/exec.ts';

type Login = Readonly<{ user: string; kind?: string; state?: string; tty?: string; host?: string; idle?: boolean }>;

const at = (minute: number): Date => new Date(Date.UTC(2026, 2, 4, 12, minute));
const GRACE = 10 * 60_000;

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
  assert.equal((await createSessionsGate(exec, GRACE).verdict(at(0), true)).open, true);
  assert.deepEqual(told, []);
});

test('who was told has the whole time, even without touching a key', async () => {
  const logins = [{ user: 'ana', tty: 'pts/0', idle: false }];
  const gate = createSessionsGate(logind(logins).exec, GRACE);
  await gate.verdict(at(0), true);
  logins[0] = { user: 'ana', tty: 'pts/0', idle: true };
  const gone = createSessionsGate(logind(logins).exec, GRACE);
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
  assert.equal((await createSessionsGate(missing, GRACE).verdict(at(0), true)).open, true);
});

test('users are told once, the gate says until when they have, and then it opens', async () => {
  const { exec, told } = logind([{ user: 'ana', tty: 'tty1' }, { user: 'ben' }]);
  const gate = createSessionsGate(exec, GRACE);
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
  const gate = createSessionsGate(exec, GRACE);
  await gate.verdict(at(0), false);
  assert.equal(told.length, 0);
  await gate.verdict(at(1), true);
  await gate.verdict(at(5), false);
  const again = await gate.verdict(at(20), true);
  assert.ok(!again.open && again.next?.getTime() === at(30).getTime());
  assert.equal(told.length, 2);
});

test('a grace of nothing asks nobody', async () => {
  const { exec, told } = logind([{ user: 'ana', tty: 'tty1' }]);
  assert.equal((await createSessionsGate(exec, 0).verdict(at(0), true)).open, true);
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
      const verdict = await createSessionsGate(exec, GRACE).verdict(at(0), true);
      assert.ok(verdict.open || !/\p{Cc}/u.test(verdict.reason));
    }),
  );
});
