/** The table of states and events: every pair is either a named transition or refused. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Action, decide, type Event, type Facts, transition } from '../../../src/agent/loop/machine.ts';
import type { Departure, Product, Release, State, Version } from '../../../src/model.ts';

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
                gate: open ? { ok: true } : { ok: false, reason: 'r' },
                isOfferFresh,
                checkDue,
              });
  for (const state of Object.values(STATES))
    for (const fact of facts) {
      const action = decide(state, fact);
      if (action.do === 'note') assert.doesNotThrow(() => transition(state, action.event));
      if (action.do === 'stage' || action.do === 'arm') assert.notEqual(action.target, fact.booted);
      if (action.do === 'arm') assert.ok(fact.gate.ok && fact.isOfferFresh && fact.confirmed);
      if (action.do === 'reboot') assert.ok(fact.gate.ok && fact.isOfferFresh);
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
  gate: { ok: true },
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
    /lost power or crashed.*once more/,
  ],
  ['started as far as its agent', 'trial', { trial: NOTHING, isLost: false }, 'trial-lost', false, /once more/],
  [
    'started, and was lost before',
    'trial',
    { trial: { ...BEGAN, lost: 1 }, isLost: false },
    'trial-lost',
    true,
    /as happened before/,
  ],
  [
    'reached no verdict in time',
    'armed',
    { trial: { ...BEGAN, expired: true }, isLost: false },
    'trial-lost',
    true,
    /dead man/,
  ],
  [
    'reached no verdict in time though its agent ran',
    'trial',
    { trial: { ...BEGAN, expired: true }, isLost: false },
    'trial-lost',
    true,
    /no verdict in time/,
  ],
  [
    'was perhaps not tried',
    'armed',
    { trial: NOTHING, isLost: true },
    'boot-untried',
    false,
    /may not have been tried/,
  ],
  [
    'was perhaps not tried, twice',
    'armed',
    { trial: { ...NOTHING, lost: 1 }, isLost: true },
    'boot-untried',
    true,
    /may not have been tried/,
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

const OTHER: Release = { product: 'p' as Product, version: '1' as Version };
const CALM: Facts = { ...HERE, running: OTHER, confirmed: true, isLost: false, checkDue: false };
const CLOSED = { ok: false, reason: 'the window' } as const;
const LEAVING = { do: 'wait', reason: 'the restart of the machine' } as const;
const noted = (event: Event) => ({ do: 'note', event }) as const;
const tookOver = (what: Release, target: 'a' | 'b') => noted({ type: 'booted-new', release: what, target });
const ROLLED_BACK: State = { kind: 'settling', outcome: { result: 'rolled-back', release, ...why, refuse: true } };
const wornOut = (last: string) => ({
  type: 'write-failed' as const,
  code: 'too-many-attempts',
  reason: `writing was started 3 times and never finished${last}`,
  refuse: false,
});
const DECISIONS: readonly (readonly [what: string, state: State, facts: Partial<Facts>, action: Action])[] = [
  ['an end is reported', STATES.settling, {}, { do: 'settle', outcome: { result: 'none' }, keepLock: false }],
  [
    'an end is reported first, and the lock kept, where the running system is not proven',
    ROLLED_BACK,
    { confirmed: false },
    { do: 'settle', outcome: ROLLED_BACK.kind === 'settling' ? ROLLED_BACK.outcome : assert.fail(), keepLock: true },
  ],
  ['an unproven system is on trial after a start', STATES.settling, { confirmed: false }, tookOver(OTHER, 'a')],
  ['nothing is due', STATES.idle, {}, { do: 'wait', reason: 'the next check' }],
  ['a check is due', STATES.idle, { checkDue: true }, { do: 'check' }],
  ['an unproven system is on trial though nothing was meant', STATES.idle, { confirmed: false }, tookOver(OTHER, 'a')],
  ['a slot is written', STATES.staging, {}, { do: 'stage', release, target: 'b' }],
  [
    'a slot is written for the third time',
    { kind: 'staging', release, target: 'b', attempt: 2 },
    {},
    { do: 'stage', release, target: 'b' },
  ],
  ['not for the fourth', { kind: 'staging', release, target: 'b', attempt: 3 }, {}, noted(wornOut(''))],
  [
    'and the last cause is told',
    { kind: 'staging', release, target: 'b', attempt: 3, stumbled: why },
    {},
    noted(wornOut('; last known cause: y')),
  ],
  [
    'the slot to be written runs',
    STATES.staging,
    { booted: 'b' },
    noted({
      type: 'withdrawn',
      code: 'target-is-booted',
      reason: 'the machine now runs from the slot to be written',
    }),
  ],
  [
    'an unproven system runs instead of the one that writes',
    STATES.staging,
    { confirmed: false },
    tookOver(OTHER, 'a'),
  ],
  ['everything is open', STATES.staged, {}, { do: 'arm', release, target: 'b' }],
  ['a gate is closed', STATES.staged, { gate: CLOSED }, { do: 'wait', reason: 'the window' }],
  ['a gate is closed and a check is due', STATES.staged, { gate: CLOSED, checkDue: true }, { do: 'check' }],
  ['the offer is old', STATES.staged, { isOfferFresh: false }, { do: 'check' }],
  [
    'a gate has closed over a slot that the boot loader takes',
    STATES.staged,
    { gate: CLOSED, isFlagged: true },
    { do: 'disarm', booted: 'a' },
  ],
  [
    'the offer has become old over a slot that the boot loader takes',
    STATES.staged,
    { isOfferFresh: false, isFlagged: true },
    { do: 'disarm', booted: 'a' },
  ],
  ['everything is open over such a slot', STATES.staged, { isFlagged: true }, { do: 'arm', release, target: 'b' }],
  ['somebody else has started and confirmed it', STATES.staged, { booted: 'b' }, tookOver(release, 'b')],
  ['somebody else has started it', STATES.staged, { booted: 'b', confirmed: false }, tookOver(release, 'b')],
  ['an unproven system runs instead of the one that staged', STATES.staged, { confirmed: false }, tookOver(OTHER, 'a')],
  ['the new system runs', STATES.armed, { booted: 'b', confirmed: false, bootId: '2' }, tookOver(release, 'b')],
  ['the new system runs after a soft reboot', STATES.armed, { booted: 'b' }, tookOver(release, 'b')],
  ['systemd has agreed', STATES.armed, { leaving: true, gate: CLOSED }, LEAVING],
  ['a gate has closed', STATES.armed, { gate: CLOSED }, noted({ type: 'disarmed', reason: 'the window' })],
  [
    'the offer has become old',
    STATES.armed,
    { isOfferFresh: false },
    noted({ type: 'disarmed', reason: 'the repository must be asked again whether it is still on offer' }),
  ],
  ['nothing is in the way', STATES.armed, {}, { do: 'reboot', target: 'b', tried: [] }],
  [
    'a method is used up',
    { kind: 'armed', release, target: 'b', bootId: '1', tried: ['soft'] },
    {},
    { do: 'reboot', target: 'b', tried: ['soft'] },
  ],
  ['it is proven, and only the record is missing', STATES.trial, { booted: 'b' }, noted({ type: 'healthy' })],
  ['it is unproven', STATES.trial, { booted: 'b', confirmed: false }, { do: 'probe', target: 'b' }],
  [
    'it has started nine times',
    STATES.trial,
    { booted: 'b', confirmed: false, trial: { ...BEGAN, began: 9 } },
    { do: 'probe', target: 'b' },
  ],
  [
    'it has started ten times',
    STATES.trial,
    { booted: 'b', confirmed: false, trial: { ...BEGAN, began: 10 } },
    noted({
      type: 'unhealthy',
      code: 'trial-lost',
      reason: 'the new system started, but the machine lost power or crashed before it was proven, 9 times',
    }),
  ],
  ['it is condemned', STATES.condemned, { booted: 'b', confirmed: false }, { do: 'fall-back', from: 'b' }],
  ['it is condemned and leaves', STATES.condemned, { booted: 'b', leaving: true }, LEAVING],
  ['it was left', STATES.condemned, {}, noted({ type: 'booted-other', ...why, refuse: true })],
];
for (const [what, state, facts, action] of DECISIONS)
  test(`${state.kind}: ${what}, so the next action is “${action.do}”`, () => {
    assert.deepEqual(decide(state, { ...CALM, ...facts }), action);
  });

const departure: Departure = { method: 'soft', reason: 'r', at: 't', uptimeMs: 1, bootId: '1' };
const gone: State = { kind: 'armed', release, target: 'b', bootId: '1', departure, tried: ['soft'] };
const onTrial: State = { kind: 'trial', release, target: 'b', departure };
const outcome = (result: 'failed' | 'withdrawn' | 'rolled-back', refuse: boolean): State => ({
  kind: 'settling',
  outcome: { result, release, ...why, refuse },
});
const LEADS: readonly (readonly [what: string, from: State, event: Event, to: State])[] = [
  [
    'one more attempt is counted',
    { kind: 'staging', release, target: 'b', attempt: 1 },
    EVENTS.started,
    { kind: 'staging', release, target: 'b', attempt: 2 },
  ],
  [
    'what it met is kept',
    STATES.staging,
    EVENTS.stumbled,
    { kind: 'staging', release, target: 'b', attempt: 0, stumbled: why },
  ],
  [
    'a failure is no refusal',
    STATES.staging,
    { type: 'write-failed', ...why, refuse: false },
    outcome('failed', false),
  ],
  [
    'a failure of the release is one',
    STATES.staging,
    { type: 'write-failed', ...why, refuse: true },
    outcome('failed', true),
  ],
  ['what is withdrawn is not refused', STATES.staged, EVENTS.withdrawn, outcome('withdrawn', false)],
  ['a jump is used up', STATES.armed, { type: 'left', departure }, gone],
  [
    'so is the next one',
    { ...gone, tried: ['kexec'] },
    { type: 'left', departure },
    { ...gone, tried: ['kexec', 'soft'] },
  ],
  [
    'the firmware is never used up',
    STATES.armed,
    { type: 'left', departure: { ...departure, method: 'firmware' } },
    { kind: 'armed', release, target: 'b', bootId: '1', departure: { ...departure, method: 'firmware' } },
  ],
  ['how it left comes along', gone, EVENTS['booted-new'], onTrial],
  ['who never left has no departure', STATES.armed, EVENTS['booted-new'], STATES.trial],
  [
    'a proven release is told with its departure',
    onTrial,
    EVENTS.healthy,
    { kind: 'settling', outcome: { result: 'updated', release, departure } },
  ],
  ['what is in the way of proving it is kept', onTrial, EVENTS.hindered, { ...onTrial, hindered: why }],
  [
    'a disproved release is condemned with its departure',
    onTrial,
    EVENTS.unhealthy,
    { kind: 'condemned', release, target: 'b', ...why, departure },
  ],
  ['what fell back is refused', STATES.condemned, EVENTS['booted-other'], outcome('rolled-back', true)],
  ['or not', STATES.armed, { type: 'booted-other', ...why, refuse: false }, outcome('rolled-back', false)],
];
for (const [what, from, event, to] of LEADS)
  test(`${event.type} leads from ${from.kind} to ${to.kind}: ${what}`, () =>
    assert.deepEqual(transition(from, event), to));
