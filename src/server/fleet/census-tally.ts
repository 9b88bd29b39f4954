/** Tallies machines by channel, group, version and state, failures by reason, and waiting machines. Bounded for any input. Pure. */

import type { Fault } from '../../model.ts';
import type { MachineRecord } from './machines.ts';

type Numbers = Record<string, number>;

/** `hindered`: machines hindered by their surroundings, by version; absent from older counts. */
export type ChannelTally = {
  machines: number;
  groups: Numbers;
  versions: Numbers;
  states: Numbers;
  hindered?: Numbers;
};

/** Machines whose last attempt failed in the same way, with some ids. */
export type FailureTally = {
  version: string;
  code: string;
  reason: string;
  machines: number;
  last: string;
  some: string[];
  /** The names of those ids. */
  names?: Record<string, string>;
};

/** A machine with a staged release that waits for its reboot. */
export type Waiting = Readonly<{ machine: string; name?: string; group: string; since: string; why: string }>;

export type Tally = {
  machines: number;
  /** Without a check-in for a day. */
  silent: number;
  channels: Record<string, ChannelTally>;
  failures: FailureTally[];
  waiting: Waiting[];
  /** Ids shared by two machines, some with names. */
  cloned?: number;
  clones?: readonly Readonly<{ machine: string; name?: string }>[];
};

/** A finished count, and its duration. */
export type Counted = Tally & Readonly<{ schema: 1; at: string; tookMs: number }>;

export const emptyTally = (): Tally => ({
  machines: 0,
  silent: 0,
  channels: Object.create(null) as Tally['channels'],
  failures: [],
  waiting: [],
});

export const SILENT_MS = 24 * 3_600_000;
/** The most waiting machines listed. */
export const MOST_WAITING = 25;

/** Modifies the tally in place. */
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
/** The key for everything beyond a tally's limits. */
export const MANY = 'others';

function channelOf({ channels }: Tally, name: string): ChannelTally {
  const key = name in channels || Object.keys(channels).length < MOST_CHANNELS ? name : MANY;
  channels[key] ??= { machines: 0, groups: numbers(), versions: numbers(), states: numbers() };
  return channels[key];
}

/** No prototype, so that names from outside have no special meaning. */
const numbers = (): Numbers => Object.create(null) as Numbers;

function bump(numbersByKey: Numbers, name: string): void {
  const key = name in numbersByKey || Object.keys(numbersByKey).length < MOST_KEYS ? name : MANY;
  numbersByKey[key] = (numbersByKey[key] ?? 0) + 1;
}

/** The failure of a machine's last attempt; none if it runs that release by now. */
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
  const made = full ? { version: '', code: MANY, reason: 'other kinds of failures' } : { version, code, reason };
  failures.push({ ...made, machines: 0, last: '', some: [] });
  return failures.at(-1) as FailureTally;
}
