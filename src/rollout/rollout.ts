/** Who may have a release, and when: what an operator signs, and what it means for one host at one moment. Pure. */

import type { MachineId, Version } from '../model.ts';
import { shareAt, timeOfShare } from './ramp.ts';
import { turnOf } from './turn.ts';

/** A release on a host's way. The counter orders releases, whatever their versions look like. */
export type Step = Readonly<{ version: Version; counter: number }>;

/** Times are milliseconds since 1970. */
export type Rollout = Readonly<{
  release: Step;
  start: number;
  /** These groups have it from the start; all others wait until it has soaked there. */
  canaries: Readonly<{ groups: readonly string[]; soakMs: number }>;
  /** Who is not a canary gets it in the order of their turns, over this time, in so many equal steps; 0 steps is a steady stream. */
  ramp: Readonly<{ durationMs: number; steps: number }>;
  groups: ReadonlyMap<string, GroupRule>;
  /** Releases that must be run on the way, the oldest first. */
  barriers: readonly (Step & Readonly<{ reason: string }>)[];
  /** Releases from which there is no way on. */
  deadEnds: readonly Readonly<{ version: Version; reason: string }>[];
  pause?: Readonly<{ since: number; reason: string }>;
  /** A security fix does not wait for the delays of groups. */
  urgent: boolean;
  allowDowngrade: boolean;
}>;

/** `delayMs`: how much later than others the group begins. `hold`: why it gets nothing. `pin`: the newest it may have. */
export type GroupRule = Readonly<{ delayMs?: number; hold?: string; pin?: Step }>;

export type Host = Readonly<{
  machine: MachineId;
  group: string;
  running: Readonly<{ version: Version; counter?: number }>;
}>;

/** Every hold has a name. */
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

/** `current`: runs what is on offer. A hold that ends by itself says when, and what the host will be offered then. */
export type Verdict =
  | Readonly<{ result: 'offer'; step: Step; urgent: boolean; barrier?: string }>
  | Readonly<{ result: 'current' }>
  | Readonly<{ result: 'hold'; code: HoldCode; reason: string; until?: number; step?: Step }>;

/** What the rollout says to one host. The same host is never told to wait after it was told to go, but by a pause or a hold. */
export function judgeHost(rollout: Rollout, host: Host, now: number): Verdict {
  const { running, group } = host;
  const rule = rollout.groups.get(group) ?? {};
  const goal = goalOf(rollout, group);
  if (running.version === goal.version) return { result: 'current' };
  const deadEnd = rollout.deadEnds.find(({ version }) => version === running.version);
  if (deadEnd) return hold('dead-end', `${running.version} is a dead end: ${deadEnd.reason}`);
  if (rollout.pause) return hold('paused', `the rollout is paused: ${rollout.pause.reason}`);
  if (rule.hold !== undefined) return hold('group-held', `the group ${group} is held: ${rule.hold}`);
  if (isAhead(running, goal) && rule.pin) return hold('pinned', `the group ${group} stays at ${goal.version}`);
  if (isAhead(running, goal) && !rollout.allowDowngrade)
    return hold('downgrade', `${goal.version} is older than ${running.version}, and going back is not signed`);
  const { step, ...barrier } = nextStep(rollout, running, goal);
  const wait = itsTurn(rollout, host, rule, now);
  return wait ? { ...wait, step } : { result: 'offer', urgent: rollout.urgent, step, ...barrier };
}

/** When the host is offered the release, if nobody changes the rollout until then. */
export function turnStarts(rollout: Rollout, { machine, group }: Pick<Host, 'machine' | 'group'>): number {
  const begin = beginOf(rollout, group);
  if (rollout.canaries.groups.includes(group)) return begin;
  return begin + timeOfShare(rollout.ramp, turnOf(machine, rollout.release.version));
}

/** When the ramp of a group begins. */
export function beginOf({ start, canaries, groups, urgent }: Rollout, group: string): number {
  const soak = canaries.groups.length > 0 && !canaries.groups.includes(group) ? canaries.soakMs : 0;
  return start + soak + (urgent ? 0 : (groups.get(group)?.delayMs ?? 0));
}

/** Where the hosts of a group shall end. */
export function goalOf({ release, groups }: Rollout, group: string): Step {
  const pin = groups.get(group)?.pin;
  return pin && pin.counter < release.counter ? pin : release;
}

/** Whether some host runs the version because of this rollout. */
export const isStep = ({ release, barriers, groups }: Rollout, version: Version): boolean =>
  [release, ...barriers, ...[...groups.values()].flatMap(({ pin }) => pin ?? [])].some(
    (one) => one.version === version,
  );

const isAhead = ({ counter }: Host['running'], goal: Step): boolean => counter !== undefined && counter > goal.counter;

/** The oldest barrier between what runs and where it shall end, or the end. A host of which nothing is known passes them all, once. */
function nextStep(rollout: Rollout, running: Host['running'], goal: Step): Readonly<{ step: Step; barrier?: string }> {
  const from = running.counter ?? rollout.barriers.find(({ version }) => version === running.version)?.counter ?? 0;
  const { version, counter, reason } = rollout.barriers.find(
    (one) => one.counter > from && one.counter < goal.counter && one.version !== running.version,
  ) ?? { ...goal, reason: undefined };
  return { step: { version, counter }, ...(reason === undefined ? {} : { barrier: reason }) };
}

function itsTurn(rollout: Rollout, host: Host, rule: GroupRule, now: number): Hold | undefined {
  const { canaries, start, ramp, release } = rollout;
  if (now < start) return hold('not-started', 'the rollout has not begun', turnStarts(rollout, host));
  const begin = beginOf(rollout, host.group);
  const isCanary = canaries.groups.includes(host.group);
  if (now < begin && !isCanary && (rule.delayMs === undefined || rollout.urgent || now < start + canaries.soakMs))
    return hold('canaries-first', `it is being tried by ${canaries.groups.join(', ')}`, turnStarts(rollout, host));
  if (now < begin) return hold('not-your-turn', `the group ${host.group} comes later`, turnStarts(rollout, host));
  if (isCanary || turnOf(host.machine, release.version) < shareAt(ramp, now - begin)) return undefined;
  const share = Math.round(shareAt(ramp, now - begin) * 100);
  return hold('not-your-turn', `it is offered to ${share} % of the hosts so far`, turnStarts(rollout, host));
}

type Hold = Extract<Verdict, { result: 'hold' }>;

const hold = (code: HoldCode, reason: string, until?: number): Hold => ({
  result: 'hold',
  code,
  reason,
  ...(until === undefined ? {} : { until }),
});
