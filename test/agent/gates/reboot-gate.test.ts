/** All gates as the loop asks them: when a host counts as leaving, and when it does not any more. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { StandingOffer } from '../../../src/agent/find/standing-offer.ts';
import { type Applied, keptApplied } from '../../../src/agent/gates/applied.ts';
import { APPLY_AWAITED, openGates } from '../../../src/agent/gates/host-gates.ts';
import type { LockGate } from '../../../src/agent/gates/lock-gate.ts';
import { rebootGate } from '../../../src/agent/gates/reboot-gate.ts';
import type { Product, Saved, State, Version } from '../../../src/model.ts';
import { combine } from '../../../src/reboot/gates/combine.ts';
import { closed, type GateVerdict, OPEN } from '../../../src/reboot/gates/gate.ts';
import { realFiles } from '../../../src/system/files.ts';
import { noFiles } from '../../support/no-files.ts';

const FULL = closed('lock-full', 'hard', 'web-3 holds the only place');
const LATER = closed('hook-later', 'soft', 'web-1 is not drained yet');
const NIGHTS = closed('window-closed', 'soft', 'the window is not open');
const RELEASE = { release: { product: 'demo' as Product, version: '2.0' as Version }, target: 'b' } as const;
const STAGED: State = { kind: 'staged', ...RELEASE };
const ARMED: State = { kind: 'armed', ...RELEASE, bootId: 'x' };

const OPEN_LOCK: LockGate = {
  verdict: async () => OPEN,
  isHeld: async () => false,
  take: async () => {},
  giveBack: async () => {},
  lookAfter: async () => {},
  owed: () => undefined,
  wakeMs: () => undefined,
};

const NOTHING_OWED = {
  hooks: { isOwed: async () => false },
  offer: { isFresh: () => true, objection: () => undefined },
};

/** What the gates are told of the way out while the lock and the programs say this, turn by turn. */
async function toldOf(
  turns: readonly Readonly<{ state?: State; host?: GateVerdict; says?: GateVerdict }>[],
): Promise<unknown> {
  const told: unknown[] = [];
  let turn: (typeof turns)[number] = {};
  const lock: LockGate = { ...OPEN_LOCK, verdict: async () => turn.says ?? OPEN };
  const ask = async (_since: string, _isApplied: boolean, isUnderWay?: boolean) => {
    told.push(isUnderWay);
    return combine(turn.host ? [turn.host] : []);
  };
  const gates = { ...openGates, ask };
  const gate = rebootGate({ ...NOTHING_OWED, gates, lock });
  for (turn of turns) {
    const saved: Saved = { state: turn.state ?? STAGED, since: '2026-03-01T00:00:00.000Z', slots: {} };
    await gate.verdict(saved, { asks: true, isFlagged: false });
  }
  return told;
}

test('a host that waits for the lock has not begun to leave; one whose programs are at work has', async () => {
  assert.deepEqual(await toldOf([{ says: FULL }, { says: FULL }, { says: LATER }, { says: LATER }, {}]), [
    false,
    false,
    false,
    true,
    true,
  ]);
});

test('what closes takes the beginning back', async () => {
  assert.deepEqual(await toldOf([{ says: LATER }, { host: NIGHTS }, { says: FULL }]), [false, true, false]);
});

test('the next release begins anew', async () => {
  assert.deepEqual(await toldOf([{ says: LATER }, { state: { kind: 'idle' } }, { says: FULL }]), [false, false]);
});

test('an armed host leaves, also when its agent has just been started', async () => {
  assert.deepEqual(await toldOf([{ state: ARMED }, { state: ARMED }]), [true, true]);
});

const SINCE = '2026-03-01T00:00:00.000Z';
const NEXT = '2026-03-02T00:00:00.000Z';

/** The gate of an agent that has just been started, on a host that reboots only when it is told to. */
function started(applied: Applied) {
  const gates = { ...openGates, applied, isAutomatic: () => false };
  return rebootGate({ ...NOTHING_OWED, gates, lock: OPEN_LOCK });
}
const isOpen = async (gate: ReturnType<typeof started>, since: string, state = STAGED): Promise<boolean> =>
  (await gate.verdict({ state, since, slots: {} }, { asks: true, isFlagged: false })).gate.ok;

async function inFolder(work: (applied: Applied, dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-applied-'));
  await work(keptApplied(realFiles, dir), dir).finally(() => rm(dir, { recursive: true }));
}

test('an agent that is started anew knows that an operator has asked for the reboot, and for which', () =>
  inFolder(async (applied) => {
    assert.equal(await isOpen(started(applied), SINCE), false);
    await started(applied).apply(SINCE);
    assert.equal(await isOpen(started(applied), SINCE), true);
    assert.equal(await isOpen(started(applied), NEXT), false);
  }));

test('what was asked for and has ended is not asked for any more', () =>
  inFolder(async (applied, dir) => {
    const gate = started(applied);
    await gate.apply(SINCE);
    await gate.forgetApply();
    assert.deepEqual([await isOpen(gate, SINCE), await isOpen(started(applied), SINCE)], [false, false]);
    assert.deepEqual(await readdir(dir), []);
  }));

test('going back is asked for before anything is staged, and only by this agent', () =>
  inFolder(async (applied, dir) => {
    const gate = started(applied);
    await gate.apply();
    assert.equal(await isOpen(gate, SINCE), true);
    assert.deepEqual(await readdir(dir), []);
  }));

test('a file that says something else asks for nothing, and one that cannot be written stops nobody', () =>
  inFolder(async (applied, dir) => {
    for (const text of ['', SINCE, `${SINCE}\n${SINCE}\n`, `${' '.repeat(1e5)}${SINCE}\n`]) {
      await writeFile(join(dir, 'applied'), text);
      assert.equal(await isOpen(started(applied), SINCE), false);
    }
    const gate = started(keptApplied({ ...noFiles, write: () => Promise.reject(new Error('ENOSPC')) }, dir));
    await gate.apply(SINCE);
    assert.equal(await isOpen(gate, SINCE), true);
  }));

/** A gate of which only the channel's word is not known; what it asks of the lock is written down. */
function unoffered(offer: Pick<StandingOffer, 'isFresh' | 'objection'>) {
  const asked: string[] = [];
  const lock: LockGate = {
    ...OPEN_LOCK,
    verdict: async () => {
      asked.push('take');
      return OPEN;
    },
    giveBack: async () => void asked.push('give back'),
  };
  const isHeld = async () => true;
  const gate = rebootGate({ ...NOTHING_OWED, gates: openGates, lock: { ...lock, isHeld }, offer });
  return {
    asked,
    verdict: () => gate.verdict({ state: STAGED, since: SINCE, slots: {} }, { asks: true, isFlagged: false }),
  };
}

test('the lock is not asked for before the channel has said again that the release is on offer', async () => {
  const { asked, verdict } = unoffered({ isFresh: () => false, objection: () => undefined });
  assert.deepEqual(await verdict(), { gate: { ok: true }, isOfferFresh: false });
  assert.deepEqual(asked, []);
});

test('while the channel cannot be asked the lock is given back, and the gate says what it waits for', async () => {
  const away = closed('offer-unknown', 'hard', 'whether 2.0 is still on offer is unknown');
  const { asked, verdict } = unoffered({ isFresh: () => false, objection: () => away });
  assert.deepEqual(await verdict(), { gate: { ok: false, reason: away.reason }, isOfferFresh: false });
  assert.deepEqual(asked, ['give back']);
});

test('the programs before a reboot are heard, unless an operator or the deadline overrules them', async () => {
  const told: unknown[] = [];
  const lock: LockGate = {
    ...OPEN_LOCK,
    verdict: async (...about) => {
      told.push(about);
      return OPEN;
    },
  };
  for (const overruled of [undefined, 'apply', 'deadline'] as const) {
    const asked: unknown[] = [];
    const overrides = (...about: unknown[]) => {
      asked.push(about);
      return overruled;
    };
    const gate = rebootGate({ ...NOTHING_OWED, gates: { ...openGates, overrides }, lock });
    if (overruled === 'apply') await gate.apply();
    await gate.verdict({ state: STAGED, since: SINCE, slots: {} }, { asks: true, isFlagged: false });
    assert.deepEqual(asked, [[SINCE, overruled === 'apply']]);
  }
  assert.deepEqual(told, [
    [true, false],
    [true, true],
    [true, true],
  ]);
});

test('while something keeps the host here, what was drained for the reboot is taken back, with or without a lock', async () => {
  for (const [held, owed, isFlagged, given] of [
    [false, true, false, 1],
    [true, false, false, 1],
    [false, false, false, 0],
    [false, true, true, 0],
  ] as const) {
    const asked: string[] = [];
    const gate = rebootGate({
      ...NOTHING_OWED,
      hooks: { isOwed: async () => owed },
      gates: { ...openGates, ask: async () => combine([NIGHTS]) },
      lock: { ...OPEN_LOCK, isHeld: async () => held, giveBack: async () => void asked.push('give back') },
    });
    await gate.verdict({ state: STAGED, since: SINCE, slots: {} }, { asks: true, isFlagged });
    assert.equal(asked.length, given, `held ${held}, owed ${owed}, flagged ${isFlagged}`);
  }
});

const SAVED = (state: State): Saved => ({ state, since: SINCE, slots: {} });

/** What a gate asks of the lock, by name; the host, the programs and the lock say what `now` says. */
function listening(now: {
  host?: GateVerdict;
  lock?: GateVerdict;
  owed?: boolean;
  fresh?: boolean;
  objection?: ReturnType<StandingOffer['objection']>;
}) {
  const asked: string[] = [];
  const gate = rebootGate({
    hooks: { isOwed: async () => now.owed === true },
    offer: { isFresh: () => now.fresh !== false, objection: () => now.objection },
    gates: {
      ...openGates,
      ask: async () => {
        asked.push('host');
        return combine(now.host ? [now.host] : []);
      },
    },
    lock: {
      ...OPEN_LOCK,
      verdict: async (takes) => {
        asked.push(takes ? 'take' : 'look');
        return now.lock ?? OPEN;
      },
      giveBack: async () => void asked.push('give back'),
    },
  });
  const verdict = async (state: State, asks: boolean, isFlagged = false) => {
    asked.length = 0;
    return (await gate.verdict(SAVED(state), { asks, isFlagged })).gate;
  };
  return { asked, gate, verdict };
}

test('what was drained for a release that is staged no more is taken back, and nothing else is asked then', async () => {
  for (const kind of ['idle', 'staging'] as const) {
    const state: State = kind === 'idle' ? { kind } : { kind, ...RELEASE, attempt: 0 };
    const { asked, verdict } = listening({ owed: true });
    assert.deepEqual([await verdict(state, true), asked], [{ ok: true }, ['give back']]);
    assert.deepEqual([await verdict(state, false), asked], [{ ok: true }, []]);
    const { asked: nothing, verdict: other } = listening({});
    assert.deepEqual([await other(state, true), nothing], [{ ok: true }, []]);
  }
});

test('what has closed while the host was made ready is heard before it leaves, and what was drained is taken back', async () => {
  const now: Parameters<typeof listening>[0] = { owed: true };
  const { asked, verdict } = listening(now);
  assert.deepEqual([(await verdict(STAGED, true)).ok, asked], [true, ['host', 'take', 'host']]);
  now.owed = false;
  assert.deepEqual([(await verdict(STAGED, true)).ok, asked], [true, ['host', 'take']]);
  let asks = 0;
  Object.defineProperty(now, 'host', { get: () => (++asks > 1 ? NIGHTS : undefined) });
  now.owed = true;
  const closing = { ok: false, reason: 'the window is not open' };
  assert.deepEqual([await verdict(STAGED, true), asked], [closing, ['host', 'take', 'host', 'give back']]);
});

test('who only looks hears what was said last, and takes nothing', async () => {
  const now: Parameters<typeof listening>[0] = { host: NIGHTS };
  const { asked, verdict } = listening(now);
  const closing = { ok: false, reason: 'the window is not open' };
  for (const state of [STAGED, ARMED]) {
    assert.deepEqual(await verdict(state, true), closing);
    assert.deepEqual([await verdict(state, false), asked], [closing, []]);
  }
  now.host = OPEN;
  now.lock = FULL;
  assert.deepEqual([await verdict(ARMED, true), asked], [{ ok: true }, ['host']]);
  assert.deepEqual([await verdict(ARMED, false), asked], [{ ok: true }, []]);
  assert.deepEqual([await verdict(STAGED, false), asked], [FULL, ['look']]);
  assert.deepEqual([await verdict(STAGED, true), asked], [FULL, ['host', 'take']]);
});

test('beside the gates of the host an operator, the channel or the lock may object, one at a time', async () => {
  const away = closed('offer-unknown', 'hard', 'whether 2.0 is still on offer is unknown');
  assert.deepEqual(await listening({ objection: away, lock: FULL }).gate.others(STAGED), [away]);
  assert.deepEqual(await listening({ lock: FULL }).gate.others(STAGED), [FULL]);
  assert.deepEqual(await listening({}).gate.others(STAGED), []);
  const manual = rebootGate({ ...NOTHING_OWED, gates: { ...openGates, isAutomatic: () => false }, lock: OPEN_LOCK });
  assert.deepEqual([manual.isApplyAwaited(), await manual.others(STAGED)], [true, [APPLY_AWAITED]]);
  assert.deepEqual((await manual.verdict(SAVED(STAGED), { asks: true, isFlagged: false })).gate, {
    ok: false,
    reason: '`updatectl apply`',
  });
  await manual.apply();
  assert.deepEqual([manual.isApplyAwaited(), await manual.others(STAGED)], [false, []]);
});
