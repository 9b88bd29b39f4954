/** The real loop around the real agent on a host of which nothing is wanted, and whose time passes while it sleeps. */

import assert from 'node:assert/strict';
import { type Agent, createAgent } from '../../src/agent/agent.ts';
import { openGates } from '../../src/agent/gates/host-gates.ts';
import { openJournal } from '../../src/agent/loop/journal.ts';
import { runLoop } from '../../src/agent/loop/loop.ts';
import type { Event } from '../../src/agent/loop/machine.ts';
import { onlyFirmware } from '../../src/agent/restart/restart.ts';
import type { AgentWorld } from '../../src/agent/running.ts';
import type { Product, Release, Version } from '../../src/model.ts';
import { deadMan } from '../../src/reboot/dead-man.ts';
import type { Clock } from '../../src/system/clock.ts';
import { silentLog } from '../../src/system/log.ts';
import { noLock } from './kept-lock.ts';
import { memoryLoader } from './memory-backend.ts';
import { RecordingDisk } from './recording-disk.ts';

export const MINUTE = 60_000;
export const START = Date.parse('2026-03-01T00:00:00Z');
export const STATE = '/state';
/** Who follows the agent is told so often that it is there: never, here. */
const BEAT_MS = 20_000;
const untilAborted = (signal?: AbortSignal): Promise<void> =>
  new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
export const release = (version: string): Release => ({ product: 'shop' as Product, version: version as Version });

/** A host that runs version 1 from slot a. Time passes while it sleeps; after `sleeps` waits its agent is ended. */
export function host(change: Partial<AgentWorld> = {}, storage = new RecordingDisk({ dirs: [STATE] })) {
  const time = { monotonic: 0 };
  const slept: number[] = [];
  const stop = new AbortController();
  const wishes: { sleeps: number; during?: (slept: number) => unknown } = { sleeps: 1 };
  const clock: Clock = {
    now: () => new Date(START + time.monotonic),
    monotonicMs: () => time.monotonic,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      if (ms === BEAT_MS) return untilAborted(signal);
      slept.push(ms);
      if (slept.length >= wishes.sleeps) stop.abort();
      await wishes.during?.(slept.length);
      signal?.throwIfAborted();
      time.monotonic += ms;
    },
  };
  const boot = change.boot ?? memoryLoader('1' as Version).backend;
  const journal = openJournal(storage.files, STATE, silentLog);
  const world: AgentWorld = {
    product: 'shop' as Product,
    architecture: 'x86-64',
    version: '0.1.0',
    member: { group: 'default' },
    booted: 'a',
    bootId: 'two',
    systemVersion: '1' as Version,
    tries: 3,
    journal,
    boot,
    deadMan: deadMan(storage.files, { stateDir: STATE, runtimeDir: '/run' }, boot.name, async () => undefined),
    releases: {
      find: async () => ({ hold: { result: 'hold', code: 'not-started', reason: 'the rollout has not started' } }),
      open: () => assert.fail('nothing is opened'),
    },
    prepare: () => assert.fail('nothing is prepared'),
    scrub: () => assert.fail('nothing is scrubbed'),
    probe: () => assert.fail('nothing is on trial'),
    reboot: () => assert.fail('nothing restarts'),
    restart: onlyFirmware('two', clock),
    gates: openGates,
    lock: noLock,
    proven: async () => {},
    limits: { jitterMs: 0, backoffMs: 2 * MINUTE, backoffLimitMs: 60 * MINUTE },
    scheduled: () => new Date(START + time.monotonic + 7 * MINUTE),
    waiveClock: async () => undefined,
    clock,
    random: { fraction: () => 0.5, bytes: () => new Uint8Array() },
    log: silentLog,
    ...change,
  };
  const run = async (sleeps: number, during?: (slept: number, agent: Agent) => unknown): Promise<Agent> => {
    const agent = await createAgent(world, stop.signal);
    Object.assign(wishes, { sleeps, during: during && ((count: number) => during(count, agent)) });
    await runLoop(agent.loop, stop.signal);
    return agent;
  };
  return { run, slept, journal, world };
}

/** Fails so often with these, and then holds the host back. */
export function failing(...failures: readonly Error[]): AgentWorld['releases'] {
  let asked = 0;
  return {
    find: async () => {
      const error = failures[asked++];
      if (error) throw error;
      return { hold: { result: 'hold', code: 'not-started', reason: 'the rollout has not started' } };
    },
    open: () => assert.fail('nothing is opened'),
  };
}

/** Where the journal is after these. */
export async function after(storage: RecordingDisk, ...events: readonly Event[]): Promise<RecordingDisk> {
  const journal = openJournal(storage.files, STATE, silentLog);
  let saved = await journal.load();
  for (const event of events) saved = await journal.advance(saved, event, new Date(START));
  return storage;
}
