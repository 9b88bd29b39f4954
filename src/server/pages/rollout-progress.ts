/** A rollout against its plan: how many machines should run the release by now, and how many do. Pure. */

import type { Ledger } from '../../rollout/brake.ts';
import { shareAt } from '../../rollout/ramp.ts';
import { beginOf, type Rollout } from '../../rollout/rollout.ts';
import type { Point } from '../fleet/census-history.ts';
import type { ChannelTally } from '../fleet/census-tally.ts';
import type { ChannelState } from '../fleet/fleet.ts';
import type { Names } from '../fleet/names.ts';
import type { Curve } from './chart.ts';

/** A channel as its pages show it. `tally` is undefined while no machine follows it; `names` are those of the listed machines. */
export type Shown = Readonly<{
  channel: string;
  state: ChannelState;
  ledger: Ledger;
  tally?: ChannelTally;
  names?: Names;
}>;

export type Progress = Readonly<{ machines: number; done: number; underWay: number; plan?: number; end?: number }>;

export function progressOf({ state, ledger, tally }: Shown, now: number): Progress {
  const rollout = state.offered?.policy;
  const counts = { machines: tally?.machines ?? 0, done: tally?.versions[state.version] ?? 0 };
  if (!rollout) return { ...counts, underWay: 0 };
  return {
    ...counts,
    underWay: ledger.inFlight.size,
    plan: plannedAt(rollout, tally, now),
    end: endOf(rollout, tally),
  };
}

/** The planned and the actual curve; at least an hour long, also for a rollout without a ramp. Undefined without a rollout. */
export function curvesOf(
  { channel, state, tally, ledger }: Shown,
  history: readonly Point[],
  now: number,
): Readonly<{ plan: Curve; done: Curve }> | undefined {
  const rollout = state.offered?.policy;
  if (!rollout) return undefined;
  const begin = rollout.start;
  const end = Math.max(endOf(rollout, tally), Math.min(now, begin + LONGEST), begin + 3_600_000);
  const times = Array.from({ length: STEPS + 1 }, (_, step) => begin + (step / STEPS) * (end - begin));
  const past = history
    .map(({ at, channels }) => [Date.parse(at), channels[channel]?.[state.version] ?? 0] as const)
    .filter(([time]) => time >= begin && time <= now);
  const { done } = progressOf({ channel, state, ledger, ...(tally ? { tally } : {}) }, now);
  return {
    plan: times.map((time) => [time, plannedAt(rollout, tally, time)] as const),
    done: now < begin ? [] : [...past, [Math.min(now, end), done] as const],
  };
}

const STEPS = 360;
const LONGEST = 60 * 24 * 3_600_000;

function plannedAt(rollout: Rollout, tally: ChannelTally | undefined, now: number): number {
  const parts = Object.entries(tally?.groups ?? {}).map(([group, machines]) => {
    const elapsed = now - beginOf(rollout, group);
    if (rollout.canaries.groups.includes(group)) return elapsed >= 0 ? machines : 0;
    return rollout.groups.get(group)?.hold === undefined ? machines * shareAt(rollout.ramp, elapsed) : 0;
  });
  return Math.round(parts.reduce((sum, one) => sum + one, 0));
}

const endOf = (rollout: Rollout, tally: ChannelTally | undefined): number =>
  Math.max(
    rollout.start,
    ...Object.keys(tally?.groups ?? {}).map(
      (group) => beginOf(rollout, group) + (rollout.canaries.groups.includes(group) ? 0 : rollout.ramp.durationMs),
    ),
  );
