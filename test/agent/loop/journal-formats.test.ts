/** Every format of the journal that was ever written stays readable. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { historyFormat, savedFormat } from '../../../src/agent/loop/journal-format.ts';
import { decide, transition } from '../../../src/agent/loop/machine.ts';
import type { Product, Saved, Version } from '../../../src/model.ts';
import { inFormat } from '../../../src/system/format.ts';

const GOLDEN = join(import.meta.dirname, '../../golden', 'journal');
const golden = (name: string): Promise<Buffer> => readFile(join(GOLDEN, name));
const HERE = {
  booted: 'a',
  confirmed: true,
  isLost: false,
  leaving: false,
  isFlagged: false,
  trial: { began: 0, expired: false, lost: 0 },
  gate: { ok: true },
  isOfferFresh: true,
  checkDue: false,
} as const;
const running = { product: 'demo' as Product, version: '1.0' as Version };

test('a slot that was armed before there were methods is rebooted into, and nothing counts as tried', async () => {
  const { state } = savedFormat.read(await golden('state-1.json'));
  assert.ok(state.kind === 'armed');
  assert.deepEqual(decide(state, { ...HERE, running, bootId: state.bootId }), { do: 'reboot', target: 'b', tried: [] });
});

test('what a state says of the restart survives being written and read', async () => {
  const saved = savedFormat.read(await golden('state-2.json'));
  assert.ok(saved.state.kind === 'armed' && saved.state.departure);
  assert.deepEqual(savedFormat.read(inFormat(savedFormat, saved).bytes), saved);
  assert.deepEqual(decide(saved.state, { ...HERE, running, bootId: saved.state.bootId }), {
    do: 'reboot',
    target: 'b',
    tried: ['soft'],
  });
});

test('why a staged release was disarmed survives being written and read', async () => {
  const saved = savedFormat.read(await golden('state-3.json'));
  assert.deepEqual(saved.disarmed, { at: '2026-03-01T13:00:00.000Z', reason: 'no maintenance window is open' });
  assert.deepEqual(savedFormat.read(inFormat(savedFormat, saved).bytes), saved);
});

test('the departure is kept through trial and condemnation into the outcome', async () => {
  const { state } = savedFormat.read(await golden('state-2.json'));
  assert.ok(state.kind === 'armed');
  const trial = transition(state, { type: 'booted-new', release: state.release, target: 'b' });
  const good = transition(trial, { type: 'healthy' });
  const condemned = transition(trial, { type: 'unhealthy', code: 'c', reason: 'r' });
  const bad = transition(condemned, { type: 'booted-other', code: 'c', reason: 'r', refuse: true });
  for (const end of [good, bad, transition(state, { type: 'booted-other', code: 'c', reason: 'r', refuse: true })]) {
    assert.ok(end.kind === 'settling' && end.outcome.result !== 'none');
    assert.deepEqual(end.outcome.departure, state.departure);
    const saved: Saved = { state: end, since: '2026-03-01T12:00:00.000Z', slots: {} };
    assert.deepEqual(savedFormat.read(inFormat(savedFormat, saved).bytes), saved);
  }
});

test('history entries with and without a method are read', async () => {
  const entries = historyFormat.read(await golden('history.jsonl'));
  assert.deepEqual(
    entries.map(({ version, method, downtime }) => [version, method, downtime?.ms]),
    [
      ['1.0', undefined, undefined],
      ['1.1', undefined, undefined],
      ['2.0', 'soft', 620],
      ['2.1', undefined, undefined],
    ],
  );
});

test('that a release was named by hand, and which methods it has used up, survives being written and read', () => {
  const attempt = { release: { ...running, version: '2.0' as Version }, target: 'b', byHand: true } as const;
  for (const state of [
    { kind: 'staging', ...attempt, attempt: 1 },
    { kind: 'staged', ...attempt, tried: ['soft', 'kexec'] },
    { kind: 'armed', ...attempt, tried: ['kexec'], bootId: 'x' },
  ] as const) {
    const saved: Saved = { state, since: '2026-03-01T12:00:00.000Z', slots: {} };
    assert.deepEqual(savedFormat.read(inFormat(savedFormat, saved).bytes), saved);
  }
});
