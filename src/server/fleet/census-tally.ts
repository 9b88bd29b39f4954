/** Adds up machines: by channel, group, version and state, why updates failed, and who waits. Bounded, whatever machines say. Pure. */

import type { Fault } from '../../model.ts';
import type { MachineRecord } from './machines.ts';

type Numbers = Record<string, number>;

/** `hindered`: machines that were kept from a version by their surroundings, by that version; not known of counts before this field. */
export type ChannelTally = {
  machines: number;
  groups: Numbers;
  versions: Numbers;
  states: Numbers;
  hindered?: Numbers;
};

/** Machines whose last attempt failed in the same way; some of them by name. */
export type FailureTally = {
  version: string;
  code: string;
  reason: string;
  machines: number;
  last: string;
  some: string[];
  /** How those call themselves. */
  names?: Record<string, string>;
};

/** A machine with a release ready that it may not boot into yet. */
export type Waiting = Readonly<{ machine: string; name?: string; group: string; since: string; why: string }>;

export type Tally = {
  machines: number;
  /** Not heard of for a day. */
  silent: number;
  channels: Record<string, ChannelTally>;
  failures: FailureTally[];
  waiting: Waiting[];
  /** Ids that two machines have, and some of them by name. */
  cloned?: number;
  clones?: readonly Readonly<{ machine: string; name?: string }>[];
};

/** A finished count, and how long it took. */
export type Counted = Tally & Readonly<{ schema: 1; at: string; tookMs: number }>;

export const emptyTally = (): Tally => ({
  machines: 0,
  silent: 0,
  channels: Object.create(null) as Tally['channels'],
  failures: [],
  waiting: [],
});

export const SILENT_MS = 24 * 3_600_000;
/** Of those that wait only so many are named. */
export const MOST_WAITING = 25;

/** Changes the sum that it is given. */
export function tally(sum: Tally, machine: MachineRecord, now: Date): void {
  sum.machines += 1;
  if (now.getTime() - Date.parse(machine.lastSeen) > SILENT_MS) sum.silent += 1;
  const channel = channelOf(sum, machine.channel);
  channel.machines += 1;
  bump(channel.groups, machine.group);
  bump(channel.versions, machine.running.version);
  bump(channel.states, machine.state);
  const failure = failureOf(machine);
  if (failure) addFailure(sum.failures, machine, failure);
  if (failure?.fault === 'surroundings') {
    channel.hindered ??= numbers();
    bump(channel.hindered, failure.version);
  }
  if (machine.cloned) addClone(sum, machine);
  if (machine.state === 'staged' && sum.waiting.length < MOST_WAITING)
    sum.waiting.push({
      machine: machine.machine,
      ...(machine.host?.name === undefined ? {} : { name: machine.host.name }),
      group: machine.group,
      since: machine.since,
      why: machine.waitingFor ?? machine.hold?.reason ?? 'its turn',
    });
}

const MOST_CHANNELS = 24;
const MOST_KEYS = 60;
const MOST_FAILURES = 100;
const SOME = 8;
/** What is beyond the bounds of a tally goes by this name. */
export const MANY = 'others';

function channelOf({ channels }: Tally, name: string): ChannelTally {
  const key = name in channels || Object.keys(channels).length < MOST_CHANNELS ? name : MANY;
  channels[key] ??= { machines: 0, groups: numbers(), versions: numbers(), states: numbers() };
  return channels[key];
}

/** No name from outside means anything to it. */
const numbers = (): Numbers => Object.create(null) as Numbers;

function bump(numbersByKey: Numbers, name: string): void {
  const key = name in numbersByKey || Object.keys(numbersByKey).length < MOST_KEYS ? name : MANY;
  numbersByKey[key] = (numbersByKey[key] ?? 0) + 1;
}

/** How the last attempt of a machine failed; one that has come to run the release since has not failed. */
export function failureOf({ outcome, running }: MachineRecord): Failure | undefined {
  if (!outcome || (outcome.result !== 'failed' && outcome.result !== 'rolled-back')) return undefined;
  const { version, at, result, code = result, reason = '', fault } = outcome;
  return running.version === version ? undefined : { version, at, code, reason, ...(fault ? { fault } : {}) };
}

export type Failure = Readonly<{ version: string; at: string; code: string; reason: string; fault?: Fault }>;

function addFailure(failures: FailureTally[], machine: MachineRecord, failure: Failure): void {
  const { version, at, code, reason } = failure;
  const same = failures.find((one) => one.version === version && one.code === code && one.reason === reason);
  const group = same ?? fresh(failures, version, code, reason);
  group.machines += 1;
  if (at > group.last) group.last = at;
  if (group.some.length === SOME) return;
  group.some.push(machine.machine);
  if (machine.host?.name !== undefined) group.names = { ...group.names, [machine.machine]: machine.host.name };
}

function addClone(sum: Tally, { machine, host }: MachineRecord): void {
  sum.cloned = (sum.cloned ?? 0) + 1;
  const name = host?.name === undefined ? {} : { name: host.name };
  sum.clones = [...(sum.clones ?? []), { machine, ...name }].slice(0, SOME);
}

function fresh(failures: FailureTally[], version: string, code: string, reason: string): FailureTally {
  const full = failures.length >= MOST_FAILURES;
  const rest = full ? failures.find((one) => one.code === MANY) : undefined;
  if (rest) return rest;
  const made = full
    ? { version: '', code: MANY, reason: 'more kinds of failures than are told apart' }
    : { version, code, reason };
  failures.push({ ...made, machines: 0, last: '', some: [] });
  return failures.at(-1) as FailureTally;
}
