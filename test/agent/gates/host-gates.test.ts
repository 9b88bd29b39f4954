/** The gates of a host, as its configuration names them: who objects, and what overrides whom. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HookGate, noHooks } from '../../../src/agent/gates/hook-gate.ts';
import { createGates, openGates } from '../../../src/agent/gates/host-gates.ts';
import type { KeptLock } from '../../../src/agent/gates/kept-lock.ts';
import { historyFormat } from '../../../src/agent/loop/journal-format.ts';
import { resolveConfig } from '../../../src/config/config.ts';
import { combine } from '../../../src/reboot/gates/combine.ts';
import { closed, OPEN } from '../../../src/reboot/gates/gate.ts';
import type { Files } from '../../../src/system/files.ts';
import type { Exec } from '../../../src/system/process/exec.ts';
import { noLock } from '../../support/kept-lock.ts';
import { noFiles } from '../../support/no-files.ts';
import { freshStorage, liveUntilRest, makeUpdate } from '../../support/simulated-host.ts';

const SUNDAYS =
  '[[reboot.window]]\nname = "sundays"\ndays = ["sun"]\nstart = "02:00"\nduration = "4h"\nspread = "0m"\n';
const XMAS = '[[reboot.black_out]]\nname = "xmas"\ndates = ["12-24"]\nduration = "3d"\n';
const STAGED = '2026-03-02T00:00:00.000Z';
const MARKER = '/state/trial';

function gatesAt(now: string, text: string, inhibitors: readonly unknown[][] = [], files: Files = noFiles) {
  const exec: Exec = async () => ({
    exitCode: 0,
    stdout: JSON.stringify({ data: [inhibitors] }),
    stderr: '',
    timedOut: false,
  });
  const config = resolveConfig([{ path: '/etc/tandem/config.d/50.toml', text }]);
  return createGates(
    config,
    { clock: { now: () => new Date(now) }, exec, files, probe: async () => ({ ok: true }) },
    'machine',
  );
}

test('without any setting nobody objects', async () => {
  assert.equal((await gatesAt('2026-03-04T12:00:00Z', '').ask(STAGED, false)).open, true);
});

test('outside its window a host waits for the next one, and says so', async () => {
  const gates = gatesAt('2026-03-07T12:00:00Z', SUNDAYS);
  const all = await gates.ask(STAGED, false);
  assert.equal(all.open, false);
  assert.equal(all.next?.toISOString(), '2026-03-08T02:00:00.000Z');
  assert.equal(gates.wakeMs(), 14 * 3_600_000);
  const [shown] = gates.status(STAGED, []).gates ?? [];
  assert.equal(shown?.code, 'window-closed');
  assert.equal(shown?.next, '2026-03-08T02:00:00.000Z');
  assert.equal((await gatesAt('2026-03-08T03:00:00Z', SUNDAYS).ask(STAGED, false)).open, true);
});

test('an operator who applies overrides a window, but neither a black-out nor an inhibitor', async () => {
  const gates = gatesAt('2026-03-04T12:00:00Z', SUNDAYS);
  assert.equal((await gates.ask(STAGED, true)).open, true);
  assert.equal(gates.status(STAGED, []).gates?.[0]?.overriddenBy, 'apply');
  const black = await gatesAt('2026-12-25T12:00:00Z', XMAS).ask(STAGED, true);
  assert.deepEqual(
    black.closed.map((one) => one.code),
    ['black-out'],
  );
  const held = await gatesAt('2026-03-04T12:00:00Z', '', [['shutdown', 'backup', 'x', 'block', 0, 1]]).ask(
    STAGED,
    true,
  );
  assert.deepEqual(
    held.closed.map((one) => one.code),
    ['inhibited'],
  );
});

test('the deadline is told from the day of staging on, and then windows are not heard any more', async () => {
  const text = `[reboot]\ndeadline_days = 3\n${SUNDAYS}`;
  const before = gatesAt('2026-03-04T23:59:00Z', text);
  assert.equal((await before.ask(STAGED, false)).open, false);
  assert.equal(before.status(STAGED, []).rebootBy, '2026-03-05T00:00:00.000Z');
  const after = gatesAt('2026-03-05T00:00:00Z', text);
  assert.equal((await after.ask(STAGED, false)).open, true);
  assert.equal(after.status(STAGED, []).gates?.[0]?.overriddenBy, 'deadline');
});

test('a closed gate keeps a staged release waiting, unarmed, and an open one lets it go', async () => {
  let isClosed = true;
  const objection = closed('window-closed', 'soft', 'no maintenance window is open');
  const gates = { ...openGates, ask: async () => combine(isClosed ? [objection] : []) };
  const storage = freshStorage();
  const update = await makeUpdate('good');
  const waiting = await liveUntilRest(storage, update, undefined, gates);
  assert.equal(waiting.state.kind, 'staged');
  assert.equal(waiting.running?.version, '1');
  assert.equal(waiting.slots?.b.bootable, false);
  isClosed = false;
  const updated = await liveUntilRest(storage, update, undefined, gates);
  assert.equal(updated.running?.version, '2');
  assert.equal(updated.confirmed, true);
});

/** What an agent finds that starts while the lock is held. */
const FOUND = { 'a program that has begun': 'hooks', 'the record of the lock': 'lock' } as const;

for (const [what, found] of Object.entries(FOUND))
  test(`a gate that closes while the lock is held releases it, and the slot is not armed: a new agent finds ${what}`, async () => {
    const verbs: string[] = [];
    let isHeld = false;
    const lock: KeptLock = {
      ...noLock,
      isConfigured: true,
      take: async () => {
        verbs.push('take');
        isHeld = true;
        return { ok: true };
      },
      begin: async () => void verbs.push('begin'),
      giveBack: async () => {
        if (isHeld) verbs.push('give back');
        isHeld = false;
      },
    };
    const inhibited = closed('inhibited', 'hard', 'backup inhibits the shutdown: nightly copy');
    const gates = { ...openGates, ask: async () => combine(verbs.includes('take') ? [inhibited] : []) };
    const later = { ...noHooks, verdict: async () => closed('hook-later', 'soft', 'web-1 is not drained yet') };
    const update = await makeUpdate('good');
    const storage = freshStorage();
    const drained = await liveUntilRest(storage, update, undefined, gates, later, lock);
    assert.deepEqual([drained.state.kind, verbs], ['staged', ['take']]);
    const begun = { ...noHooks, isOwed: async () => found === 'hooks' && isHeld };
    const recorded = { ...lock, mayHold: async () => found === 'lock' && isHeld };
    const waiting = await liveUntilRest(storage, update, undefined, gates, begun, recorded);
    assert.deepEqual([waiting.state.kind, verbs], ['staged', ['take', 'give back']]);
    assert.equal(waiting.slots?.b.bootable, false);
  });

test('a gate that closes on an armed slot disarms it, and keeps the day from which its deadline counts', async () => {
  const storage = freshStorage();
  const objection = closed('window-closed', 'soft', 'no maintenance window is open');
  const asked: string[] = [];
  let isClosing = true;
  let isClosed = false;
  const ask = async (since: string) => {
    asked.push(since);
    isClosed = isClosing && (isClosed || (await storage.files.read(MARKER)) !== undefined);
    return combine(isClosed ? [objection] : []);
  };
  const gates = { ...openGates, ask };
  const update = await makeUpdate('good');
  const disarmed = await liveUntilRest(storage, update, undefined, gates);
  assert.deepEqual([disarmed.state.kind, disarmed.slots?.a.confirmed, disarmed.marker], ['staged', true, undefined]);
  assert.deepEqual([...new Set(asked)], [disarmed.since]);
  assert.equal(disarmed.disarmed?.reason, 'no maintenance window is open');
  const [line] = historyFormat.read((await storage.files.read('/state/history.jsonl')) ?? new Uint8Array());
  assert.deepEqual([line?.result, line?.reason], ['disarmed', 'no maintenance window is open']);
  isClosing = false;
  const updated = await liveUntilRest(storage, update, undefined, gates);
  assert.deepEqual([updated.running?.version, updated.disarmed], ['2', undefined]);
});

const FAULTS: Readonly<Record<string, RegExp>> = {
  'duration = "4 hours"': /reboot\.window is wrong: window\[0\]\.duration must be a duration like/,
  'duration = "4h"\ndayz = ["sun"]': /window\[0\]\.dayz must be absent/,
  'duration = "4h"\ndays = ["sunday"]': /window\[0\]\.days\[0\] must be "sun"/,
  'duration = "4h"\nzone = "Europe/Berlim"': /window\[0\]\.zone must be a time zone/,
  'duration = "4h"\ncron = "0 2 * * *"\nstart = "03:00"': /window\[0\]\.cron must be alone/,
  'duration = "4h"\ncron = "0 2 * * * *"': /window\[0\]\.cron must be a cron expression of five fields/,
  'duration = "4h"\ndays = ["sun"]\ndates = ["12-24"]': /window\[0\]\.dates must be absent where days/,
  'duration = "8d"': /window\[0\]\.duration must be at most 7 days/,
  'duration = "1h"\nspread = "1h"': /window\[0\]\.spread must be shorter/,
};

for (const [text, message] of Object.entries(FAULTS))
  test(`a window is refused with its file, line and key: ${text.replaceAll('\n', ', ')}`, () => {
    const fragment = { path: '/etc/tandem/config.d/50.toml', text: `\n[[reboot.window]]\n${text}\n` };
    assert.throws(
      () => resolveConfig([fragment]),
      (error: Error) => message.test(error.message) && error.message.startsWith('/etc/tandem/config.d/50.toml:2: '),
    );
  });

test('an application’s lock holds a host up until it ends, but not one that an operator reboots', async () => {
  const lock = { owner: 'backup', reason: 'a dump', since: '2026-03-04T11:00:00Z', until: '2026-03-04T13:00:00Z' };
  const files: Files = {
    ...noFiles,
    list: async (dir) => (dir === '/run/tandem/inhibit.d' ? ['backup.1.json'] : []),
    read: async () => new TextEncoder().encode(JSON.stringify(lock)),
  };
  const gates = gatesAt('2026-03-04T12:00:00Z', '', [], files);
  assert.equal((await gates.ask(STAGED, false)).open, false);
  assert.equal(gates.wakeMs(), 3_600_000);
  assert.equal((await gates.ask(STAGED, true)).open, true);
  assert.equal((await gatesAt('2026-03-04T13:00:00Z', '', [], files).ask(STAGED, false)).open, true);
});

test('people are asked for last: told when nothing else objects, overridden by an operator and the deadline', async () => {
  const told: string[] = [];
  const exec: Exec = async (program, args) => {
    if (program === 'systemd-run') told.push(args.at(-1) ?? '');
    const session = ['1', 1000, 'ana', 'seat0', '/org/freedesktop/login1/session/_31'];
    const stdout = args.includes('ListSessions')
      ? JSON.stringify({ data: [[session]] })
      : args.includes('get-property')
        ? '{"data":"user"}\n{"data":"active"}\n{"data":"tty1"}'
        : JSON.stringify({ data: [[]] });
    return { exitCode: 0, stdout, stderr: '', timedOut: false };
  };
  let now = '2026-03-07T12:00:00Z';
  const text = `[reboot]\nsession_grace_minutes = 5\n${SUNDAYS}`;
  const config = resolveConfig([{ path: '/etc/tandem/config.d/50.toml', text }]);
  const clock = { now: () => new Date(now) };
  const gates = createGates(config, { clock, exec, files: noFiles, probe: async () => ({ ok: true }) }, 'm');
  const codes = async (isApplied: boolean): Promise<unknown> =>
    (await gates.ask(STAGED, isApplied)).closed.map((one) => one.code);
  assert.deepEqual(await codes(false), ['window-closed', 'users-logged-in']);
  assert.deepEqual(await codes(true), []);
  assert.equal(told.length, 0);
  now = '2026-03-08T02:00:00Z';
  assert.equal(
    (await gates.ask(STAGED, false, true)).open,
    true,
    'who logs in while the host leaves is not waited for',
  );
  assert.equal(told.length, 0);
  assert.deepEqual(await codes(false), ['users-logged-in']);
  assert.equal(gates.wakeMs(), 5 * 60_000);
  assert.equal(told.length, 1);
  now = '2026-03-08T02:05:00Z';
  assert.deepEqual(await codes(false), []);
  assert.equal((await gates.ask('2026-03-08T02:04:00.000Z', false)).open, false, 'the next release is told of anew');
  assert.equal(told.length, 2);
});

test('the running system is judged only where that is asked for', async () => {
  const ill = async () => ({ ok: false, reason: 'no quorum' }) as const;
  const exec: Exec = async () => ({ exitCode: 1, stdout: '', stderr: '', timedOut: false });
  const clock = { now: () => new Date('2026-03-04T12:00:00Z') };
  const asked = async (text: string) => {
    const config = resolveConfig([{ path: '/etc/tandem/config.d/50.toml', text }]);
    return createGates(config, { clock, exec, files: noFiles, probe: ill }, 'm').ask(STAGED, false);
  };
  assert.equal((await asked('')).open, true);
  assert.deepEqual(
    (await asked('[reboot]\nrequire_health = true')).closed.map((one) => one.code),
    ['host-unhealthy'],
  );
});

/** Programs of which it is known whether they have made the host ready. */
function readiness(whileRunning: () => void = () => undefined) {
  const calls: string[] = [];
  let isReady = false;
  const hooks: HookGate = {
    ...noHooks,
    verdict: async () => {
      if (!isReady) calls.push('do');
      isReady = true;
      whileRunning();
      return OPEN;
    },
    isOwed: async () => isReady,
    undo: async () => {
      if (isReady) calls.push('undo');
      isReady = false;
    },
  };
  return { hooks, calls };
}

test('a host is made ready before it reboots, and the system that has proven itself takes that back', async () => {
  const { hooks, calls } = readiness();
  const updated = await liveUntilRest(freshStorage(), await makeUpdate('good'), undefined, openGates, hooks);
  assert.equal(updated.running?.version, '2');
  assert.deepEqual(calls, ['do', 'undo']);
});

test('the old system takes it back after a release that has failed', async () => {
  const { hooks, calls } = readiness();
  const back = await liveUntilRest(freshStorage(), await makeUpdate('unhealthy'), undefined, openGates, hooks);
  assert.equal(back.running?.version, '1');
  assert.deepEqual(calls, ['do', 'undo']);
});

test('a window that closes while programs run keeps the host here, and what they did is taken back', async () => {
  let isClosed = false;
  const objection = closed('window-closed', 'soft', 'no maintenance window is open');
  const gates = { ...openGates, ask: async () => combine(isClosed ? [objection] : []) };
  const { hooks, calls } = readiness(() => {
    isClosed = true;
  });
  const waiting = await liveUntilRest(freshStorage(), await makeUpdate('good'), undefined, gates, hooks);
  assert.equal(waiting.state.kind, 'staged');
  assert.equal(waiting.slots?.b.bootable, false);
  assert.deepEqual(calls, ['do', 'undo']);
});
