/** What the agent does beside its loop: what it tells, to whom, what it remembers of the channel, and what may be asked of it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Agent, createAgent } from '../../src/agent/agent.ts';
import { openGates } from '../../src/agent/gates/host-gates.ts';
import { runLoop } from '../../src/agent/loop/loop.ts';
import type { Event } from '../../src/agent/loop/machine.ts';
import type { AgentWorld } from '../../src/agent/running.ts';
import { UpdateError } from '../../src/errors.ts';
import type { Release, Version } from '../../src/model.ts';
import { type Log, silentLog } from '../../src/system/log.ts';
import { noLock } from '../support/kept-lock.ts';
import { memoryLoader } from '../support/memory-backend.ts';
import { RecordingDisk } from '../support/recording-disk.ts';
import { after, failing, host, MINUTE, release, STATE } from '../support/sleeping-host.ts';

const STAGED: readonly Event[] = [
  { type: 'settled' },
  { type: 'offered', release: release('2'), target: 'b' },
  { type: 'started' },
  { type: 'written' },
];
const TRIAL: readonly Event[] = [{ type: 'booted-new', release: release('1'), target: 'a' }];
const diskAfter = (events: readonly Event[]) => after(new RecordingDisk({ dirs: [STATE] }), ...events);
const away = new UpdateError('server-unreachable', 'It is away.');

/** With both slots filled, as on a host that has staged. */
function loader() {
  const memory = memoryLoader('1' as Version);
  memory.install('b', '2' as Version);
  return memory.backend;
}

/** A channel that offers version 2. */
const offering: AgentWorld['releases'] = {
  find: async () =>
    ({ trusted: { release: release('2'), architecture: 'x86-64', minAgent: '0.1.0' }, allowDowngrade: false }) as never,
  open: () => assert.fail('nothing is opened'),
};

const gatesOf = async ({ view }: Agent): Promise<unknown> => (await view.status()).gates?.map(({ code }) => code);

/** What `look` sees of the agent in each of its sleeps. */
async function seen<T>(
  change: Partial<AgentWorld>,
  events: readonly Event[],
  sleeps: number,
  look: (agent: Agent, count: number) => Promise<T>,
): Promise<T[]> {
  const found: T[] = [];
  const { run } = host(change, await diskAfter(events));
  await run(sleeps, async (count, agent) => found.push(await look(agent, count)));
  return found;
}

test('while the channel cannot be asked, what is staged waits and says so; a named release that cannot be asked for is no word of it', async () => {
  assert.deepEqual(await seen({ releases: failing(away) }, STAGED, 1, gatesOf), [['offer-unknown']]);
  let asked = 0;
  const releases: AgentWorld['releases'] = {
    ...failing(),
    find: async () => {
      if (++asked > 1) throw away;
      return { hold: { result: 'hold', code: 'full', reason: 'enough are under way' } };
    },
  };
  const look = async (agent: Agent, count: number) => {
    const gates = await gatesOf(agent);
    if (count === 1) await agent.view.install({ version: '3' });
    return gates;
  };
  assert.deepEqual(await seen({ releases }, STAGED, 2, look), [['offer-held'], ['offer-held']]);
});

test('what is still on offer is started once all is open: noted, switched on, armed and restarted', async () => {
  const done: string[] = [];
  const boot = loader();
  const change: Partial<AgentWorld> = {
    boot: {
      ...boot,
      arm: async (slot, tries) => {
        done.push(`arm ${slot} ${tries}`);
        await boot.arm(slot, tries);
      },
    },
    releases: offering,
    noteFailed: async () => void done.push('note failed'),
    reboot: async () => void done.push('reboot'),
    deadMan: { set: async () => void done.push('switch'), clear: async () => {}, read: async () => undefined } as never,
  };
  const states = await seen(change, STAGED, 1, async ({ view }) => {
    const { state, waitingFor, restart } = await view.status();
    return [state.kind, waitingFor, restart?.method];
  });
  assert.deepEqual(done, ['note failed', 'switch', 'arm b 3', 'reboot']);
  assert.deepEqual(states, [['armed', 'the restart of the machine', 'firmware']]);
});

const turns = async (count = 6): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};

test('how far an installation is can be asked for and followed, and is forgotten with its end', async () => {
  const stop = new AbortController();
  const heard: string[] = [];
  const asked: unknown[] = [];
  const { world } = host({ boot: loader(), releases: offering });
  const prepare: AgentWorld['prepare'] = async (_release, _target, told) => ({
    write: async () => {
      await turns();
      for (const done of [1, 2]) told('download', done, 2);
      await turns();
      told('read-back', 1, 2);
      asked.push((await agent.view.status()).progress);
      await turns();
      stop.abort();
      throw new UpdateError('disk-write-error', 'EIO');
    },
    [Symbol.asyncDispose]: async () => {},
  });
  const agent = await createAgent({ ...world, prepare }, stop.signal);
  const following = (async () => {
    for await (const event of agent.view.events(stop.signal))
      heard.push(event.event === 'progress' ? `${event.progress.phase} ${event.progress.done}` : event.event);
  })();
  await turns();
  await runLoop(agent.loop, stop.signal);
  await following;
  asked.push((await agent.view.status()).progress);
  assert.deepEqual(asked, [{ phase: 'read-back', done: 1, total: 2 }, undefined]);
  // A new phase tells how things are, too: more is known of what is ahead.
  const first = heard.indexOf('download 2');
  assert.deepEqual(heard.slice(first, first + 4), ['download 2', 'status', 'read-back 1', 'status']);
});

test('what the agent waits for is logged once, with who objects, and what it begins and finds each time', async () => {
  const told: unknown[] = [];
  const log = {
    ...silentLog,
    info: (facts: object, text: string) => void told.push([facts, text]),
    error: (facts: object, text: string) => void told.push([facts, text]),
  } as unknown as Log;
  await seen({ log, releases: failing(away, away) }, STAGED, 2, async () => undefined);
  const waits = told.filter((one) => JSON.stringify(one).includes('waits for'));
  const reason = 'whether 2 is still on offer is unknown: the repository could not be checked (server-unreachable)';
  assert.deepEqual(told.slice(0, 2), [
    [{ action: 'check' }, 'begins to check'],
    [{ action: 'check', code: 'server-unreachable' }, 'It is away.'],
  ]);
  assert.deepEqual(waits[0], [{ codes: ['offer-unknown'] }, 'waits for the next try']);
  assert.equal(waits.length, 1, JSON.stringify(waits));
  told.length = 0;
  await seen({ log }, STAGED, 3, async () => undefined);
  assert.deepEqual(told.slice(0, 2), [
    [{ action: 'check' }, 'begins to check'],
    [{ code: 'not-started' }, 'checked: the rollout has not started'],
  ]);
  assert.equal(told.filter((one) => JSON.stringify(one).includes('waits for')).length, 1, reason);
});

test('who is to be told of a release that waits for a word is told which, and that none does', async () => {
  const noticed = async (isAutomatic: boolean, events: readonly Event[]): Promise<unknown> => {
    const heard: (Release | undefined)[] = [];
    const gates = { ...openGates, isAutomatic: () => isAutomatic };
    await seen({ gates, notice: async (one) => void heard.push(one) }, events, 1, async () => undefined);
    return heard.map((one) => one?.version);
  };
  assert.deepEqual(await noticed(false, STAGED), ['2']);
  assert.deepEqual(await noticed(true, STAGED), [undefined]);
  assert.deepEqual(await noticed(false, [{ type: 'settled' }]), [undefined]);
});

test('a release that has proven itself is told of, and no other; what was asked for has ended then', async () => {
  for (const [event, wanted] of [
    [{ type: 'healthy' }, ['1']],
    [{ type: 'unhealthy', code: 'unhealthy', reason: 'sick' }, []],
  ] as const) {
    const proven: string[] = [];
    const forgotten: string[] = [];
    const applied = { ...openGates.applied, forget: async () => void forgotten.push('apply') };
    const end: Event[] =
      event.type === 'healthy' ? [event] : [event, { type: 'booted-other', code: 'x', reason: 'y', refuse: false }];
    const change = { proven: async (one: Release) => void proven.push(one.version), gates: { ...openGates, applied } };
    await seen(change, [...TRIAL, ...end], 1, async () => undefined);
    assert.deepEqual([proven, forgotten], [wanted, ['apply']]);
  }
});

test('nobody sleeps longer than the gates or the lock want to be asked again', async () => {
  for (const [gateMs, lockMs, ms] of [
    [2 * MINUTE, undefined, 2 * MINUTE],
    [undefined, undefined, 7 * MINUTE],
    [3 * MINUTE, MINUTE, MINUTE],
  ] as const) {
    const debt = { place: 'etcd', group: 'web', since: '2026-03-01T00:00:00Z' };
    const lock =
      lockMs === undefined ? noLock : { ...noLock, debt: () => debt, giveBackOwed: () => Promise.reject(away) };
    const { run, slept } = host(
      { gates: { ...openGates, wakeMs: () => gateMs }, lock },
      await diskAfter([{ type: 'settled' }]),
    );
    await run(1);
    assert.deepEqual(slept, [ms]);
  }
});

test('on trial, and on the way out, nobody waits for the fleet’s lock to be looked after', async () => {
  const looked = async (events: readonly Event[], change: Partial<AgentWorld> = {}): Promise<number> => {
    let count = 0;
    const lock = { ...noLock, giveBackOwed: async () => void count++ };
    await seen({ ...change, lock }, events, 1, async () => undefined);
    return count;
  };
  assert.equal(await looked([{ type: 'settled' }]), 1);
  const memory = memoryLoader('1' as Version);
  const boot = { ...memory.backend, confirm: () => Promise.reject(new UpdateError('esp-full')) };
  const view = await memory.backend.read();
  const unproven = { ...view, slots: { ...view.slots, a: { ...view.slots.a, confirmed: false } } };
  const change = { boot: { ...boot, read: async () => unproven }, probe: async () => ({ ok: true }) as const };
  assert.equal(await looked(TRIAL, change), 0);
});

test('the status says what is known, and leaves out what is not', async () => {
  const sees = (change: Partial<AgentWorld>, events: readonly Event[]) =>
    seen(change, events, 1, async ({ view }) => await view.status());
  const [plain] = await sees({}, [{ type: 'settled' }]);
  assert.ok(plain);
  const { running, confirmed, booted, slots, gates, disarmed, transfer, failedBefore, lockOwed, restart, waitingFor } =
    plain;
  assert.deepEqual(
    [running?.version, confirmed, booted, slots?.a.version, waitingFor],
    ['1', true, 'a', '1', 'the next check'],
  );
  assert.deepEqual([gates, disarmed, transfer, failedBefore, lockOwed, restart], Array(6).fill(undefined));
  assert.deepEqual([plain.agent, plain.group, plain.state.kind, plain.refused], ['0.1.0', 'default', 'idle', []]);

  const moved = { tier: 'full', fetched: 5, copied: 0, kept: 0, fallen: [] } as const;
  const excused = async () => ({ failedBefore: ['old.service'] }) as never;
  const [full] = await sees({ transfer: () => moved, excused, boot: loader() }, [
    ...STAGED,
    { type: 'armed', bootId: 'two' },
    { type: 'disarmed', reason: 'the window has closed' },
  ]);
  assert.deepEqual([full?.transfer, full?.failedBefore], [moved, ['old.service']]);
  assert.deepEqual(
    [full?.disarmed?.reason, full?.restart?.method, full?.gates?.length],
    ['the window has closed', 'firmware', 1],
  );

  const boot = {
    ...memoryLoader('1' as Version).backend,
    read: () => Promise.reject(new UpdateError('boot-partition-missing')),
  };
  const [blind] = await sees({ boot }, [{ type: 'settled' }]);
  assert.deepEqual([blind?.running, blind?.confirmed, blind?.slots], [undefined, undefined, undefined]);
  assert.equal(blind?.lastError?.code, 'boot-partition-missing');
});

test('an operator is told at once what cannot be done, and what will be', async () => {
  const ask = async (
    events: readonly Event[],
    deed: (agent: Agent) => Promise<{ message: string }>,
    change: Partial<AgentWorld> = {},
  ) => {
    const { world } = host(change, await diskAfter(events));
    return (await deed(await createAgent(world, new AbortController().signal))).message;
  };
  const idle: Event[] = [{ type: 'settled' }];
  assert.equal(await ask(idle, ({ view }) => view.check() as never), 'Checking the repository.');
  assert.equal(await ask(STAGED, ({ view }) => view.install({ version: '3' }) as never), 'Looking for the release.');
  assert.equal(await ask(STAGED, ({ view }) => view.apply() as never), 'Rebooting into 2, unless it was pulled.');
  const both = { boot: loader() };
  for (const slot of ['b', 'a'] as const) await both.boot.confirm(slot);
  assert.equal(
    await ask(idle, ({ view }) => view.rollback() as never, both),
    'Checking the other slot, then rebooting into it.',
  );
  await assert.rejects(
    ask(idle, ({ view }) => view.rollback() as never),
    { code: 'no-way-back' },
  );
  await assert.rejects(
    ask(idle, ({ view }) => view.apply() as never),
    { code: 'nothing-staged' },
  );
  for (const deed of ['check', 'rollback'] as const)
    await assert.rejects(
      ask(TRIAL, ({ view }) => view[deed]() as never, both),
      {
        code: 'agent-busy',
        message: 'The agent is trial.',
      },
    );
});
