/** Who is logged in is told of the restart once, has the grace, and then no longer holds the machine up. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { cleanLine } from '../../../src/clean-text.ts';
import { keptGrace } from '../../../src/reboot/gates/grace.ts';
import { createSessionsGate, readSessions, type SessionsGate } from '../../../src/reboot/gates/sessions.ts';
import { type Files, realFiles } from '../../../src/system/files.ts';
import type { Exec } from '../../../src/system/process/exec.ts';
import { noFiles } from '../../support/no-files.ts';

type Login = Readonly<{
  user: string;
  kind?: string;
  state?: string;
  tty?: string;
  display?: string;
  host?: string;
  idle?: boolean;
}>;

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
    const {
      kind = 'user',
      state = 'active',
      tty = '',
      display = '',
      host = '',
      idle = false,
    } = logins[index] ?? { user: '' };
    return said([kind, state, tty, display, host, idle].map((data) => JSON.stringify({ type: '?', data })).join('\n'));
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
    { user: 'eve', kind: 'user-early', display: ':0' },
    { user: 'fay', kind: 'user-light', display: ':1', tty: 'tty4' },
    { user: 'gil', host: 'far' },
    { user: 'h'.repeat(200), tty: 't'.repeat(200), state: 'online' },
  ]);
  assert.deepEqual(await readSessions(exec), [
    { user: 'ana', where: 'tty1', isIdle: false },
    { user: 'ben', where: 'pts/0 from 192.0.2.7', isIdle: false },
    { user: 'root', where: 'pts/2', isIdle: false },
    { user: 'eve', where: ':0', isIdle: false },
    { user: 'fay', where: 'tty4', isIdle: false },
    { user: 'gil', where: 'no terminal from far', isIdle: false },
    { user: cleanLine('h'.repeat(200), 100), where: cleanLine('t'.repeat(200), 100), isIdle: false },
  ]);
});

test('logind is asked for its sessions and each of them, and who is there is told by wall, each in ten seconds', async () => {
  const { exec } = logind([{ user: 'ana', tty: 'tty1' }]);
  const calls: unknown[] = [];
  const heard: Exec = (program, args, options) => {
    calls.push([program, ...args, options]);
    return exec(program, args, options);
  };
  await gateOf(heard, GRACE).verdict(at(0), true);
  const [login, manager] = ['org.freedesktop.login1', '/org/freedesktop/login1'];
  const ten = { timeoutMs: 10_000, package: 'systemd' };
  const session = [`${manager}/session/_30`, `${login}.Session`];
  const text =
    'This machine restarts into an update in 10 minutes. To delay it: updatectl inhibit --owner NAME --reason WHY --for 2h';
  assert.deepEqual(calls, [
    ['busctl', '--json=short', 'call', login, manager, `${login}.Manager`, 'ListSessions', ten],
    [
      'busctl',
      '--json=short',
      'get-property',
      login,
      ...session,
      'Class',
      'State',
      'TTY',
      'Display',
      'RemoteHost',
      'IdleHint',
      ten,
    ],
    ['systemd-run', '--quiet', '--collect', 'wall', text, ten],
  ]);
});

test('how long people have is told in whole minutes, at least one', async () => {
  for (const [graceMs, text] of [
    [1_000, 'in 1 minute.'],
    [60_000, 'in 1 minute.'],
    [89_000, 'in 1 minute.'],
    [91_000, 'in 2 minutes.'],
    [GRACE, 'in 10 minutes.'],
  ] as const) {
    const { exec, told } = logind([{ user: 'ana' }]);
    await gateOf(exec, graceMs).verdict(at(0), true);
    assert.ok(told[0]?.includes(text), `${graceMs}: ${told[0]}`);
  }
});

test('sessions that do not exist, or of which busctl knows nothing, are nobody', async () => {
  const session = '/org/freedesktop/login1/session/_30';
  const shown = ['user', 'active', 'tty1', '', '', false].map((data) => JSON.stringify({ data })).join('\n');
  const answering = (row: readonly unknown[], exitCodes: readonly [number, number] = [0, 0]) =>
    readSessions(async (_, args) => {
      const isList = args.includes('ListSessions');
      const stdout = isList ? JSON.stringify({ data: [[row, 'no row']] }) : shown;
      return { exitCode: exitCodes[isList ? 0 : 1], stdout, stderr: '', timedOut: false };
    });
  assert.equal((await answering(['1', 0, 'ana', '', session])).length, 1);
  for (const row of [
    ['1', 0, 7, '', session],
    ['1', 0, 'ana', '', 7],
    ['1', 0, 'ana', '', '/org/freedesktop/login1/seat/_30'],
    ['1', 0, 'ana', '', `/elsewhere${session}`],
  ])
    assert.deepEqual(await answering(row), []);
  for (const exitCodes of [
    [1, 0],
    [0, 1],
  ] as const)
    assert.deepEqual(await answering(['1', 0, 'ana', '', session], exitCodes), []);
});

test('of a session of which little or nonsense is told, that is told', async () => {
  const shown = (...data: unknown[]) =>
    readSessions(async (_, args) => {
      const row = ['1', 0, 'ana', '', '/org/freedesktop/login1/session/_30'];
      const stdout = args.includes('ListSessions')
        ? JSON.stringify({ data: [[row]] })
        : data.map((one) => JSON.stringify({ data: one })).join('\n');
      return { exitCode: 0, stdout, stderr: '', timedOut: false };
    });
  const nowhere = { user: 'ana', where: 'no terminal', isIdle: false };
  assert.deepEqual(await shown('user', 'active'), [nowhere]);
  assert.deepEqual(await shown('user', 'active', 7, {}, null, 'true'), [nowhere]);
  assert.deepEqual(await shown(), []);
});

test('of more sessions than anybody has the first are looked at', async () => {
  const { exec } = logind(Array.from({ length: 70 }, (_, index) => ({ user: `u${index}`, tty: 't' })));
  assert.equal((await readSessions(exec)).length, 64);
});

test('who only asks, while nobody is to be told, learns who is there and no time', async () => {
  const { exec } = logind([{ user: 'ana', tty: 'tty1' }]);
  assert.deepEqual(await gateOf(exec, GRACE).verdict(at(0), false), {
    ok: false,
    code: 'users-logged-in',
    strength: 'soft',
    reason: 'ana is logged in on tty1',
    command: 'updatectl apply',
  });
});

test('a shell that somebody has left behind holds nobody up, and is not told', async () => {
  const { exec, told } = logind([{ user: 'ana', tty: 'pts/0', idle: true }]);
  assert.equal((await gateOf(exec, GRACE).verdict(at(0), true)).ok, true);
  assert.deepEqual(told, []);
});

test('who was told has the whole time, even without touching a key', async () => {
  const logins = [{ user: 'ana', tty: 'pts/0', idle: false }];
  const gate = gateOf(logind(logins).exec, GRACE);
  await gate.verdict(at(0), true);
  logins[0] = { user: 'ana', tty: 'pts/0', idle: true };
  const gone = gateOf(logind(logins).exec, GRACE);
  assert.deepEqual(
    [(await gate.verdict(at(9), true)).ok, (await gate.verdict(at(10), true)).ok, (await gone.verdict(at(9), true)).ok],
    [false, true, true],
  );
});

test('where logind does not answer nobody is waited for', async () => {
  const missing: Exec = async () => {
    throw new Error('no busctl');
  };
  assert.equal((await gateOf(missing, GRACE).verdict(at(0), true)).ok, true);
});

test('where people cannot be told, their time runs and ends all the same', async () => {
  const { exec } = logind([{ user: 'ana', tty: 'tty1' }]);
  const mute: Exec = async (program, args, options) => {
    if (program === 'systemd-run') throw new Error('spawn systemd-run ENOENT');
    return exec(program, args, options);
  };
  const gate = gateOf(mute, GRACE);
  const verdict = await gate.verdict(at(0), true);
  assert.ok(!verdict.ok && verdict.next?.getTime() === at(10).getTime());
  assert.equal((await gate.verdict(at(9), true)).ok, false);
  assert.equal((await gate.verdict(at(10), true)).ok, true);
});

test('users are told once, the gate says until when they have, and then it opens', async () => {
  const { exec, told } = logind([{ user: 'ana', tty: 'tty1' }, { user: 'ben' }]);
  const gate = gateOf(exec, GRACE);
  assert.deepEqual(await gate.verdict(at(0), true), {
    ok: false,
    code: 'users-logged-in',
    strength: 'soft',
    reason: 'ana is logged in on tty1, and 1 more',
    since: at(0),
    next: at(10),
    command: 'updatectl apply',
  });
  assert.equal((await gate.verdict(at(9), true)).ok, false);
  assert.equal((await gate.verdict(at(10), true)).ok, true);
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
  assert.ok(!again.ok && again.next?.getTime() === at(30).getTime());
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
    assert.ok(!late.ok && late.next?.getTime() === at(10).getTime());
    assert.equal((await start(exec).verdict(at(10), true)).ok, true);
    assert.equal(told.length, 1);
  }));

test('one that comes long after the time, or before it by its clock, tells people anew', () =>
  inFolder(async (start) => {
    const { exec, told } = logind([{ user: 'ana', tty: 'tty1' }]);
    await start(exec).verdict(at(20), true);
    assert.equal((await start(exec).verdict(at(19), true)).ok, false);
    assert.equal((await start(exec).verdict(at(35), true)).ok, false);
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
          assert.equal((await start(logind([{ user: 'ana' }]).exec).verdict(at(1), true)).ok, false);
        }),
    ),
    { numRuns: 50 },
  ));

test('where the file cannot be written the time runs all the same', async () => {
  const full: Files = { ...noFiles, write: () => Promise.reject(new Error('ENOSPC')) };
  const { exec, told } = logind([{ user: 'ana' }]);
  const gate = gateOf(exec, GRACE, full);
  await gate.verdict(at(0), true);
  assert.equal((await gate.verdict(at(10), true)).ok, true);
  assert.equal(told.length, 1);
});

test('a grace of nothing asks nobody', async () => {
  const { exec, told } = logind([{ user: 'ana', tty: 'tty1' }]);
  assert.equal((await gateOf(exec, 0).verdict(at(0), true)).ok, true);
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
      assert.ok(verdict.ok || !/\p{Cc}/u.test(verdict.reason));
    }),
  );
});
