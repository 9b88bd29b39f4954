/** The table of states and events: every pair is either a named transition or refused. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decide, type Event, type Facts, transition } from '../../src/agent/machine.ts';
import type { Product, Release, State, Version } from '../../src/model.ts';

const release: Release = { product: 'p' as Product, version: '2' as Version };
const why = { code: 'x', reason: 'y' };
const STATES: Record<State['kind'], State> = {
  settling: { kind: 'settling', outcome: { result: 'none' } },
  idle: { kind: 'idle' },
  staging: { kind: 'staging', release, target: 'b', attempt: 0 },
  staged: { kind: 'staged', release, target: 'b' },
  armed: { kind: 'armed', release, target: 'b', bootId: '1' },
  trial: { kind: 'trial', release, target: 'b' },
  condemned: { kind: 'condemned', release, target: 'b', ...why },
};
const EVENTS: Record<Event['type'], Event> = {
  settled: { type: 'settled' },
  offered: { type: 'offered', release, target: 'b' },
  chosen: { type: 'chosen', release, target: 'b' },
  started: { type: 'started' },
  written: { type: 'written' },
  stumbled: { type: 'stumbled', ...why },
  'write-failed': { type: 'write-failed', ...why, refuse: false },
  withdrawn: { type: 'withdrawn', ...why },
  armed: { type: 'armed', bootId: '1' },
  left: { type: 'left', departure: { method: 'soft', reason: '', at: '', uptimeMs: 0, bootId: '1' } },
  disarmed: { type: 'disarmed', reason: 'y' },
  'booted-new': { type: 'booted-new', release, target: 'b' },
  'booted-other': { type: 'booted-other', ...why, refuse: true },
  healthy: { type: 'healthy' },
  hindered: { type: 'hindered', ...why },
  unhealthy: { type: 'unhealthy', ...why },
};
const ALLOWED: Record<Event['type'], Partial<Record<State['kind'], State['kind']>>> = {
  settled: { settling: 'idle' },
  offered: { idle: 'staging', staged: 'staging' },
  chosen: { idle: 'staged', staged: 'staged' },
  started: { staging: 'staging' },
  written: { staging: 'staged' },
  stumbled: { staging: 'staging' },
  'write-failed': { staging: 'settling' },
  withdrawn: { staging: 'settling', staged: 'settling' },
  armed: { staged: 'armed' },
  left: { armed: 'armed' },
  disarmed: { armed: 'staged' },
  'booted-new': { settling: 'trial', idle: 'trial', staging: 'trial', staged: 'trial', armed: 'trial' },
  'booted-other': { armed: 'settling', trial: 'settling', condemned: 'settling' },
  healthy: { trial: 'settling' },
  hindered: { trial: 'trial' },
  unhealthy: { trial: 'condemned' },
};

for (const [type, event] of Object.entries(EVENTS) as [Event['type'], Event][])
  test(`${type} is possible in ${Object.keys(ALLOWED[type]).join(', ')} and nowhere else`, () => {
    for (const [kind, state] of Object.entries(STATES) as [State['kind'], State][]) {
      const to = ALLOWED[type][kind];
      if (to === undefined) assert.throws(() => transition(state, event), /is not possible/);
      else assert.equal(transition(state, event).kind, to);
    }
  });

test('every action that decide asks for leads to an event its state allows, whatever the facts', () => {
  const facts: Facts[] = [];
  for (const booted of ['a', 'b'] as const)
    for (const confirmed of ['yes', 'no', 'lost'])
      for (const bootId of ['1', '2'])
        for (const open of [true, false])
          for (const checkDue of [true, false])
            for (const isOfferFresh of [true, false])
              facts.push({
                booted,
                running: release,
                confirmed: confirmed === 'yes',
                isLost: confirmed === 'lost',
                bootId,
                leaving: false,
                isFlagged: !checkDue,
                trial: { began: open ? 1 : 0, expired: checkDue && open, lost: bootId === '1' ? 0 : 1 },
                gate: open ? { open } : { open, reason: 'r' },
                isOfferFresh,
                checkDue,
              });
  for (const state of Object.values(STATES))
    for (const fact of facts) {
      const action = decide(state, fact);
      if (action.do === 'note') assert.doesNotThrow(() => transition(state, action.event));
      if (action.do === 'stage' || action.do === 'arm') assert.notEqual(action.target, fact.booted);
      if (action.do === 'arm') assert.ok(fact.gate.open && fact.isOfferFresh && fact.confirmed);
      if (action.do === 'reboot') assert.ok(fact.gate.open && fact.isOfferFresh);
    }
});

test('an attempt that is disarmed and armed again is the same: named by hand, and its used-up methods stay used up', () => {
  const offered = transition(STATES.idle, { type: 'offered', release, target: 'b', byHand: true });
  const armed = transition(transition(transition(offered, EVENTS.started), EVENTS.written), EVENTS.armed);
  const again = transition(transition(transition(armed, EVENTS.left), EVENTS.disarmed), EVENTS.armed);
  assert.deepEqual(again, { kind: 'armed', release, target: 'b', byHand: true, tried: ['soft'], bootId: '1' });
});

test('the next attempt begins with all methods, and is the channel’s again', () => {
  const staged: State = { kind: 'staged', release, target: 'b', byHand: true, tried: ['soft'] };
  assert.deepEqual(transition(staged, EVENTS.offered), { kind: 'staging', release, target: 'b', attempt: 0 });
});

const HERE: Facts = {
  booted: 'a',
  trial: { began: 0, expired: false, lost: 0 },
  running: release,
  confirmed: false,
  isLost: true,
  bootId: '1',
  leaving: false,
  isFlagged: false,
  gate: { open: true },
  isOfferFresh: true,
  checkDue: true,
};

test('flags that are lost are written anew before anything else, and are no trial', () => {
  const ended: State = { kind: 'settling', outcome: { result: 'rolled-back', release, ...why, refuse: true } };
  for (const state of [STATES.settling, ended, STATES.idle, STATES.staging, STATES.staged])
    assert.deepEqual(decide(state, HERE), { do: 'mend', booted: 'a' }, state.kind);
});

test('a slot that was on its way to a trial is on trial, whatever became of the flags', () => {
  const there: Facts = { ...HERE, booted: 'b', bootId: '2' };
  for (const state of [STATES.staged, STATES.armed]) assert.equal(decide(state, there).do, 'note', state.kind);
  assert.equal(decide(STATES.trial, there).do, 'probe');
});

const NOTHING = { began: 0, expired: false, lost: 0 } as const;
const BEGAN = { ...NOTHING, began: 1 };
const ENDS: readonly (readonly [
  what: string,
  from: 'armed' | 'trial',
  facts: Pick<Facts, 'trial' | 'isLost'>,
  code: string,
  refuse: boolean,
  reason: RegExp,
])[] = [
  ['never started', 'armed', { trial: NOTHING, isLost: false }, 'boot-failed', true, /did not start/],
  [
    'never started, though its trial was lost before',
    'armed',
    { trial: { ...NOTHING, lost: 1 }, isLost: false },
    'boot-failed',
    true,
    /did not start/,
  ],
  [
    'started, before its agent did',
    'armed',
    { trial: BEGAN, isLost: false },
    'trial-lost',
    false,
    /lost its power or crashed.*once more/,
  ],
  ['started as far as its agent', 'trial', { trial: NOTHING, isLost: false }, 'trial-lost', false, /once more/],
  [
    'started, and was lost before',
    'trial',
    { trial: { ...BEGAN, lost: 1 }, isLost: false },
    'trial-lost',
    true,
    /as it did before/,
  ],
  [
    'gave no verdict in time',
    'armed',
    { trial: { ...BEGAN, expired: true }, isLost: false },
    'trial-lost',
    true,
    /dead man/,
  ],
  [
    'gave no verdict in time though its agent ran',
    'trial',
    { trial: { ...BEGAN, expired: true }, isLost: false },
    'trial-lost',
    true,
    /no verdict in time/,
  ],
  ['was perhaps not tried', 'armed', { trial: NOTHING, isLost: true }, 'boot-untried', false, /perhaps not tried/],
  [
    'was perhaps not tried, twice',
    'armed',
    { trial: { ...NOTHING, lost: 1 }, isLost: true },
    'boot-untried',
    true,
    /perhaps not tried/,
  ],
];
for (const [what, from, facts, code, refuse, reason] of ENDS)
  test(`a release that ${what} ends as ${code}${refuse ? ' and is refused' : ' and is tried again'}`, () => {
    const action = decide(STATES[from], { ...HERE, confirmed: !facts.isLost, bootId: '2', ...facts });
    assert.ok(action.do === 'note' && action.event.type === 'booted-other');
    assert.deepEqual([action.event.code, action.event.refuse], [code, refuse]);
    assert.match(action.event.reason, reason);
    const next = transition(STATES[from], action.event);
    assert.ok(next.kind === 'settling' && next.outcome.result === 'rolled-back' && next.outcome.refuse === refuse);
  });

test('a healthy release that the boot loader could not be told of is tried once more, then refused', () => {
  const hindered = transition(STATES.trial, { type: 'hindered', code: 'boot-partition-read-only', reason: 'EROFS' });
  for (const lost of [0, 1]) {
    const trial = { ...BEGAN, expired: true, lost };
    const action = decide(hindered, { ...HERE, confirmed: true, isLost: false, bootId: '2', trial });
    assert.ok(action.do === 'note' && action.event.type === 'booted-other');
    assert.deepEqual([action.event.code, action.event.refuse], ['trial-lost', lost === 1]);
    assert.match(action.event.reason, /was healthy.*\(EROFS\)/);
  }
});
