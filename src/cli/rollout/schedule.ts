/** When the groups of a rollout have their turns. Pure. */

import { timeOfShare } from '../../rollout/ramp.ts';
import { beginOf, type Rollout } from '../../rollout/rollout.ts';

/** A group (`''` is every other), and when each share of its hosts (0 to 1) may have the release. */
export type Row = Readonly<{
  group: string;
  isCanary: boolean;
  held?: string;
  times: readonly Readonly<{ share: number; at: string }>[];
}>;

export const SHARES = [0.01, 0.1, 0.25, 0.5, 1] as const;

/** The schedule of every group that the rollout names, and of the rest. */
export function scheduleOf(rollout: Rollout): readonly Row[] {
  const named = [...new Set([...rollout.canaries.groups, ...rollout.groups.keys()])];
  return [...named, ''].map((group) => {
    const isCanary = rollout.canaries.groups.includes(group);
    const held = rollout.pause?.reason ?? rollout.groups.get(group)?.hold;
    const begin = beginOf(rollout, group);
    const last = (share: number): number => (isCanary ? 0 : timeOfShare(rollout.ramp, Math.max(0, share - 1e-9)));
    const times = SHARES.map((share) => ({ share, at: new Date(begin + last(share)).toISOString() }));
    return { group, isCanary, ...(held === undefined ? {} : { held }), times };
  });
}
