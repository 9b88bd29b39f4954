/** All gates as the loop asks them: when a host counts as leaving, and when it does not any more. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openGates } from '../../src/agent/gates.ts';
import type { LockGate } from '../../src/agent/lock-gate.ts';
import { rebootGate } from '../../src/agent/reboot-gate.ts';
import type { Product, Saved, State, Version } from '../../src/model.ts';
import { combine } from '../../src/reboot/gates/combine.ts';
import { closed, OPEN, type Verdict } from '../../src/reboot/gates/gate.ts';

const FULL = closed('lock-full', 'hard', 'web-3 holds the only place');
const LATER = closed('hook-later', 'soft', 'web-1 is not drained yet');
const NIGHTS = closed('window-closed', 'soft', 'the window is not open');
const RELEASE = { release: { product: 'demo' as Product, version: '2.0' as Version }, target: 'b' } as const;
const STAGED: State = { kind: 'staged', ...RELEASE };
const ARMED: State = { kind: 'armed', ...RELEASE, bootId: 'x' };

/** What the gates are told of the way out while the lock and the programs say this, turn by turn. */
async function toldOf(turns: readonly Readonly<{ state?: State; host?: Verdict; says?: Verdict }>[]): Promise<unknown> {
  const told: unknown[] = [];
  let turn: (typeof turns)[number] = {};
  const lock: LockGate = {
    verdict: async () => turn.says ?? OPEN,
    take: async () => {},
    giveBack: async () => {},
    lookAfter: async () => {},
    wakeMs: () => undefined,
  };
  const ask = async (_since: string, _isApplied: boolean, isUnderWay?: boolean) => {
    told.push(isUnderWay);
    return combine(turn.host ? [turn.host] : []);
  };
  const gates = { ...openGates, ask };
  const gate = rebootGate({ gates, lock, fleet: { status: () => undefined }, hooks: { isOwed: async () => false } });
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
