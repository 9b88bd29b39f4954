/** Fleet metrics: machines as of the last census, rollouts against their plans, locks. Bounded and pure. */

import { gauge, type Labels, type Metric } from '../../formats/metrics-text.ts';
import type { Counted } from '../fleet/census-tally.ts';
import type { ShownLock } from '../fleet/reboot-locks.ts';
import { progressOf, type Shown } from '../pages/rollout-progress.ts';

/** Machines by channel and group, version and state; `undefined` before the first census. */
export function machineMetrics(counted: Counted | undefined): readonly Metric[] {
  if (!counted) return [];
  const by = (name: 'group' | 'version' | 'state', part: 'groups' | 'versions' | 'states') =>
    gauge(
      `tandem_machines_by_${name}`,
      `Machines by channel and ${name}, as of the last count.`,
      Object.entries(counted.channels).flatMap(([channel, tally]) =>
        Object.entries(tally[part]).map(([key, value]) => ({ labels: { channel, [name]: key }, value })),
      ),
    );
  return [
    by('group', 'groups'),
    by('version', 'versions'),
    by('state', 'states'),
    gauge('tandem_machines_silent', 'Machines that have not checked in for a day.', counted.silent),
    gauge('tandem_machines_cloned', 'Ids shared by two machines.', counted.cloned ?? 0),
    gauge('tandem_machines_failed', 'Machines whose last attempt failed, by version and code.', failuresOf(counted)),
    gauge(
      'tandem_machines_counted_timestamp_seconds',
      'Time of the last count of machines.',
      Date.parse(counted.at) / 1000,
    ),
  ];
}

/** Codes come from hosts; malformed ones are counted as others. */
function failuresOf({ failures }: Counted) {
  return summed(
    failures.map(({ version, code, machines }) => ({
      labels: { version, code: /^[a-z0-9-]{1,64}$/.test(code) ? code : MANY },
      value: machines,
    })),
  );
}

/** Rollouts by channel; an unlimited value has no metric. */
export function rolloutMetrics(rollouts: readonly Shown[], now: Date): readonly Metric[] {
  const of = (name: string, help: string, value: (shown: Shown) => number | undefined) =>
    gauge(
      `tandem_rollout_${name}`,
      help,
      rollouts.slice(0, MOST_CHANNELS).map((one) => ({ labels: { channel: one.channel }, value: value(one) })),
    );
  const limit = (value: number | undefined) => (Number.isFinite(value) ? value : undefined);
  const flag = (isSo: boolean) => (isSo ? 1 : 0);
  return [
    gauge(
      'tandem_rollout_info',
      'The release on offer in the channel.',
      rollouts
        .slice(0, MOST_CHANNELS)
        .map(({ channel, state: { version } }) => ({ labels: { channel, version }, value: 1 })),
    ),
    of('machines', 'Machines that follow the channel, as of the last count.', (one) => one.tally?.machines ?? 0),
    of(
      'done',
      'Machines that run the release on offer, as of the last count.',
      (one) => progressOf(one, now.getTime()).done,
    ),
    of('planned', 'Machines that should run it by now.', (one) => progressOf(one, now.getTime()).plan),
    of(
      'started_timestamp_seconds',
      'Start of the rollout.',
      ({ state }) => state.offered && state.offered.policy.start / 1000,
    ),
    of('in_flight', 'Machines under way.', ({ ledger }) => ledger.inFlight.size),
    of('max_in_flight', 'The most machines that may be under way.', ({ state }) =>
      limit(state.offered?.limits.maxInFlight),
    ),
    of('updated', 'Machines updated since the start.', ({ ledger }) => ledger.updated),
    of('failed', 'Machines on which it failed.', ({ ledger }) => ledger.failed.size),
    of('max_failures', 'More failures than these pull the brake.', ({ state }) =>
      limit(state.offered?.limits.maxFailures),
    ),
    of('braked', '1 if the brake is pulled, by failures or by hand.', ({ ledger }) =>
      flag(ledger.braked !== undefined),
    ),
    of('paused', '1 if it is paused in its signed document.', ({ state }) =>
      flag(state.offered?.policy.pause !== undefined),
    ),
  ];
}

/** Locks by group; the groups beyond the limit are summed up. */
export function lockMetrics(locks: readonly ShownLock[], now: Date): readonly Metric[] {
  const of = (name: string, help: string, value: (lock: ShownLock) => number, join = sum) =>
    gauge(
      `tandem_lock_${name}`,
      help,
      summed(
        locks.map((lock, at) => ({ labels: { group: at < MOST_GROUPS ? lock.group : MANY }, value: value(lock) })),
        join,
      ),
    );
  const age = ({ holders }: ShownLock) =>
    Math.max(0, ...holders.map(({ since }) => (now.getTime() - Date.parse(since)) / 1000));
  return [
    of('max', 'The most hosts of the group that may reboot at the same time.', ({ max }) => max),
    of('held', 'Hosts that hold the lock.', ({ holders }) => holders.length),
    of('late', 'Holders past their deadline.', ({ holders }) => holders.filter(({ late }) => late).length),
    of('oldest_holder_age_seconds', 'Time since the oldest holder took it.', age, Math.max),
  ];
}

/** The expiry of the repository's metadata, by role. */
export const expiryMetrics = (expires: ReadonlyMap<string, Date>): readonly Metric[] => [
  gauge(
    'tandem_repository_expires_timestamp_seconds',
    'Expiry of the role’s signed metadata.',
    [...expires].map(([role, at]) => ({ labels: { role }, value: at.getTime() / 1000 })),
  ),
];

const MOST_CHANNELS = 24;
const MOST_GROUPS = 60;
const MANY = 'others';
const sum = (one: number, other: number): number => one + other;

type One = Readonly<{ labels: Labels; value: number }>;

/** Sums samples with the same labels. */
function summed(samples: readonly One[], join = sum): readonly One[] {
  const all = new Map<string, One>();
  for (const { labels, value } of samples) {
    const key = Object.values(labels).join('\n');
    all.set(key, { labels, value: join(all.get(key)?.value ?? 0, value) });
  }
  return [...all.values()];
}
