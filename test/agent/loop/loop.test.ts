/** The real loop around the real agent: what fails is told, waited for and tried again, and what has ended is remembered. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Agent, createAgent } from '../../../src/agent/agent.ts';
import { runLoop } from '../../../src/agent/loop/loop.ts';
import type { Event } from '../../../src/agent/loop/machine.ts';
import type { AgentWorld } from '../../../src/agent/running.ts';
import { UpdateError } from '../../../src/errors.ts';
import type { Departure } from '../../../src/model.ts';
import { noLock } from '../../support/kept-lock.ts';
import { RecordingDisk } from '../../support/recording-disk.ts';
import { after, failing, host, MINUTE, release, STATE } from '../../support/sleeping-host.ts';

test('a repository that cannot be reached is asked again, later each time, and that is told until it answers', async () => {
  const away = new UpdateError('server-unreachable', 'updates.example: connection refused.');
  const { run, slept } = host({ releases: failing(away, away, away) });
  const told: unknown[] = [];
  const agent = await run(4, async (_, { view }) => told.push((await view.status()).lastError?.code));
  assert.deepEqual(slept, [MINUTE, 2 * MINUTE, 4 * MINUTE, 7 * MINUTE]);
  assert.deepEqual(told, ['server-unreachable', 'server-unreachable', 'server-unreachable', 'server-unreachable']);
  const { lastError, lastCheck, waitingFor, nextCheck } = await agent.view.status();
  assert.deepEqual(lastError?.at, '2026-03-01T00:03:00.000Z');
  assert.match(lastError?.message ?? '', /connection refused/);
  assert.deepEqual([lastCheck?.code, lastCheck?.at], ['not-started', '2026-03-01T00:07:00.000Z']);
  assert.deepEqual([waitingFor, nextCheck], ['the next check', '2026-03-01T00:14:00.000Z']);
});

test('a server that asks for patience has it', async () => {
  const busy = new UpdateError('server-busy', undefined, { details: { retryAfterMs: 3 * MINUTE } });
  const { run, slept } = host({ releases: failing(busy) });
  await run(2);
  assert.deepEqual(slept, [4 * MINUTE, 7 * MINUTE]);
});

test('who follows the agent hears of a failure at once, with its time and what can be done', async () => {
  const away = new UpdateError('server-unreachable', 'It is away.');
  const { run } = host({ releases: failing(away, away) });
  const heard: unknown[] = [];
  const stop = new AbortController();
  const follow = async ({ view }: Agent): Promise<void> => {
    for await (const event of view.events(stop.signal)) if (event.event === 'failed') heard.push(event.failure);
  };
  let following = Promise.resolve();
  await run(2, async (count, agent) => {
    if (count === 1) following = follow(agent);
    // It is there once it has been told how things are.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
  });
  stop.abort();
  await following;
  const { next } = new UpdateError('server-unreachable').entry;
  assert.deepEqual(heard, [
    { code: 'server-unreachable', message: 'It is away.', next, at: '2026-03-01T00:01:00.000Z' },
  ]);
});

test('whoever asks for a check has it at once', async () => {
  const { run, slept } = host();
  const accepted: unknown[] = [];
  const agent = await run(2, async (count, { view }) => {
    if (count === 1) accepted.push((await view.check()).result);
  });
  assert.deepEqual([accepted, slept], [['accepted'], [7 * MINUTE, 7 * MINUTE]]);
  assert.equal((await agent.view.status()).lastCheck?.at, '2026-03-01T00:00:00.000Z');
});

test('what cannot be asked for a named release is told once: the next check is of the channel again', async () => {
  const asked: unknown[] = [];
  const releases: AgentWorld['releases'] = {
    find: async (wanted) => {
      asked.push(wanted);
      throw new UpdateError('server-unreachable');
    },
    open: () => assert.fail('nothing is opened'),
  };
  const { run } = host({ releases });
  await run(3, (count, { view }) => (count === 1 ? view.install({ version: '2' }) : undefined));
  assert.equal(asked.length, 3);
  assert.notDeepEqual(asked[1], asked[0]);
  assert.deepEqual(asked[2], asked[0]);
});

const DEPARTURE: Departure = {
  method: 'soft',
  reason: 'the kernel stays the same',
  at: '2026-02-28T23:59:00.000Z',
  uptimeMs: 5,
  bootId: 'two',
};
const ARRIVED: readonly Event[] = [
  { type: 'settled' },
  { type: 'offered', release: release('1'), target: 'a' },
  { type: 'started' },
  { type: 'written' },
  { type: 'armed', bootId: 'one' },
  { type: 'left', departure: DEPARTURE },
  { type: 'booted-new', release: release('1'), target: 'a' },
  { type: 'healthy' },
];

test('the history of an update tells how the machine was restarted and how long services were away', async () => {
  const storage = await after(new RecordingDisk({ dirs: [STATE] }), ...ARRIVED);
  const asked: Departure[] = [];
  const journey: AgentWorld['journey'] = async (departure) => {
    asked.push(departure);
    return { method: 'soft', methodReason: departure.reason, downtime: { ms: 5_000, clock: 'exact' } };
  };
  const { run } = host({ journey }, storage);
  const agent = await run(1);
  const [entry] = await agent.view.history(1);
  assert.deepEqual(asked, [DEPARTURE]);
  assert.deepEqual(
    [entry?.result, entry?.version, entry?.method, entry?.methodReason, entry?.downtime],
    ['updated', '1', 'soft', DEPARTURE.reason, { ms: 5_000, clock: 'exact' }],
  );
});

test('a lock that cannot be given back after an attempt keeps no host from going on, and is tried again each minute', async () => {
  const storage = await after(new RecordingDisk({ dirs: [STATE] }), ...ARRIVED);
  let tried = 0;
  const tryTo = async (): Promise<void> => {
    if (++tried < 3) throw new UpdateError('lock-contended', 'etcd is away.');
  };
  const isOwed = (): boolean => tried > 0 && tried < 3;
  const lock = {
    ...noLock,
    giveBack: tryTo,
    giveBackOwed: async () => (isOwed() ? tryTo() : undefined),
    debt: () => (isOwed() ? { place: 'etcd', group: 'web', since: '2026-03-01T00:00:00Z' } : undefined),
  };
  const { run, slept, journal } = host({ lock }, storage);
  const states: unknown[] = [];
  const agent = await run(3, async (_, { view }) => {
    const { state, lockOwed, waitingFor } = await view.status();
    states.push([state.kind, lockOwed?.code, waitingFor]);
  });
  assert.deepEqual(states, [
    ['idle', 'lock-contended', 'the next check'],
    ['idle', 'lock-contended', 'the next check'],
    ['idle', undefined, 'the next check'],
  ]);
  assert.deepEqual(slept, [MINUTE, MINUTE, 5 * MINUTE]);
  assert.equal(tried, 3);
  assert.equal((await journal.history(9)).length, 1, 'the history names it once');
  assert.equal((await agent.view.status()).lastCheck?.code, 'not-started');
});

test('a failure that nobody has a name for does not end the loop', async () => {
  const { run, slept } = host({ releases: failing(new TypeError('x is not a function')) });
  const agent = await run(2);
  assert.deepEqual(slept, [MINUTE, 7 * MINUTE]);
  assert.equal((await agent.view.status()).lastError?.code, 'unexpected');
});

test('an agent that is ended before it begins does nothing', async () => {
  const { world } = host();
  const stop = new AbortController();
  stop.abort();
  const agent = await createAgent(world, stop.signal);
  await runLoop(agent.loop, stop.signal);
  assert.equal(agent.loop.state().kind, 'settling');
});
