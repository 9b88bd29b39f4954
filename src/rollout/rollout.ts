/** The signed policy of a rollout, and its verdict on one host at one time. Pure. */

import type { MachineId, Version } from '../model.ts';
import { shareAt, timeOfShare, turnOf } from './ramp.ts';

/** A release on a host's path. The counter orders releases, regardless of their versions. */
export type Step = Readonly<{ version: Version; counter: number }>;

/** Times are milliseconds since the epoch. */
export type Rollout = Readonly<{
  release: Step;
  start: number;
  /** These groups start first; all others wait for `soakMs`. */
  canaries: Readonly<{ groups: readonly string[]; soakMs: number }>;
  /** The other hosts follow in the order of their turns over `durationMs`, in equal steps, or continuously with 0 steps. */
  ramp: Readonly<{ durationMs: number; steps: number }>;
  groups: ReadonlyMap<string, GroupRule>;
  /** Releases that a host must run on the way, oldest first. */
  barriers: readonly (Step & Readonly<{ reason: string }>)[];
  /** Releases that cannot be updated. */
  deadEnds: readonly Readonly<{ version: Version; reason: string }>[];
  pause?: Readonly<{ since: number; reason: string }>;
  /** Ignores the delays of groups, for security fixes. */
  urgent: boolean;
  allowDowngrade: boolean;
}>;

/** `delayMs`: the group's delay. `hold`: why it gets nothing. `pin`: the newest release it may get. */
export type GroupRule = Readonly<{ delayMs?: number; hold?: string; pin?: Step }>;

export type Host = Readonly<{
  machine: MachineId;
  group: string;
  running: Readonly<{ version: Version; counter?: number }>;
}>;

export const HOLD_CODES = [
  'dead-end',
  'paused',
  'group-held',
  'pinned',
  'downgrade',
  'not-started',
  'canaries-first',
  'not-your-turn',
] as const;
export type HoldCode = (typeof HOLD_CODES)[number];

/** `current`: runs the release on offer. `until`: when a hold ends by itself, with `step`, the release offered then. */
export type Ruling =
  | Readonly<{ result: 'offer'; step: Step; urgent: boolean; barrier?: string }>
  | Readonly<{ result: 'current' }>
  | Readonly<{ result: 'hold'; code: HoldCode; reason: string; until?: number; step?: Step }>;

/** The verdict on one host. Monotonic in time: without a pause or a new hold, an offer is never withdrawn. */
export function judgeHost(rollout: Rollout, host: Host, now: number): Ruling {
  const { running, group } = host;
  const rule = rollout.groups.get(group) ?? {};
  const goal = goalOf(rollout, group);
  if (running.version === goal.version) return { result: 'current' };
  const deadEnd = rollout.deadEnds.find(({ version }) => version === running.version);
  if (deadEnd) return hold('dead-end', `${running.version} is a dead end: ${deadEnd.reason}`);
  if (rollout.pause) return hold('paused', `the rollout is paused: ${rollout.pause.reason}`);
  if (rule.hold !== undefined) return hold('group-held', `the group ${group} is held: ${rule.hold}`);
  if (isAhead(running, goal) && rule.pin) return hold('pinned', `the group ${group} is pinned to ${goal.version}`);
  if (isAhead(running, goal) && !rollout.allowDowngrade)
    return hold('downgrade', `${goal.version} is older than ${running.version}, and the downgrade is not signed`);
  const { step, ...barrier } = nextStep(rollout, running, goal);
  const wait = itsTurn(rollout, host, rule, now);
  return wait ? { ...wait, step } : { result: 'offer', urgent: rollout.urgent, step, ...barrier };
}

/** When the host's turn comes, if the rollout does not change. */
export function turnStarts(rollout: Rollout, { machine, group }: Pick<Host, 'machine' | 'group'>): number {
  const begin = beginOf(rollout, group);
  if (rollout.canaries.groups.includes(group)) return begin;
  return begin + timeOfShare(rollout.ramp, turnOf(machine, rollout.release.version));
}

/** The start of a group's ramp. */
export function beginOf({ start, canaries, groups, urgent }: Rollout, group: string): number {
  const soak = canaries.groups.length > 0 && !canaries.groups.includes(group) ? canaries.soakMs : 0;
  return start + soak + (urgent ? 0 : (groups.get(group)?.delayMs ?? 0));
}

/** The final release for the hosts of a group. */
export function goalOf({ release, groups }: Rollout, group: string): Step {
  const pin = groups.get(group)?.pin;
  return pin && pin.counter < release.counter ? pin : release;
}

/** Whether this rollout leads some host to the version. */
export const isStep = ({ release, barriers, groups }: Rollout, version: Version): boolean =>
  [release, ...barriers, ...[...groups.values()].flatMap(({ pin }) => pin ?? [])].some(
    (one) => one.version === version,
  );

const isAhead = ({ counter }: Host['running'], goal: Step): boolean => counter !== undefined && counter > goal.counter;

/** The oldest barrier between the running release and the goal, or the goal. A host with an unknown counter passes through every barrier once. */
function nextStep(rollout: Rollout, running: Host['running'], goal: Step): Readonly<{ step: Step; barrier?: string }> {
  const from = running.counter ?? rollout.barriers.find(({ version }) => version === running.version)?.counter ?? 0;
  const { version, counter, reason } = rollout.barriers.find(
    (one) => one.counter > from && one.counter < goal.counter && one.version !== running.version,
  ) ?? { ...goal, reason: undefined };
  return { step: { version, counter }, ...(reason === undefined ? {} : { barrier: reason }) };
}

function itsTurn(rollout: Rollout, host: Host, rule: GroupRule, now: number): Hold | undefined {
  const { canaries, start, ramp, release } = rollout;
  if (now < start) return hold('not-started', 'the rollout has not started', turnStarts(rollout, host));
  const begin = beginOf(rollout, host.group);
  const isCanary = canaries.groups.includes(host.group);
  if (now < begin && !isCanary && (rule.delayMs === undefined || rollout.urgent || now < start + canaries.soakMs))
    return hold('canaries-first', `the canaries (${canaries.groups.join(', ')}) go first`, turnStarts(rollout, host));
  if (now < begin) return hold('not-your-turn', `the group ${host.group} starts later`, turnStarts(rollout, host));
  if (isCanary || turnOf(host.machine, release.version) < shareAt(ramp, now - begin)) return undefined;
  const share = Math.round(shareAt(ramp, now - begin) * 100);
  return hold('not-your-turn', `it is offered to ${share} % of hosts so far`, turnStarts(rollout, host));
}

type Hold = Extract<Ruling, { result: 'hold' }>;

const hold = (code: HoldCode, reason: string, until?: number): Hold => ({
  result: 'hold',
  code,
  reason,
  ...(until === undefined ? {} : { until }),
});
