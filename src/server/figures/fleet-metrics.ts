/** A fleet in figures: its machines as they were last counted, its rollouts beside their plans, its locks. Bounded and pure. */

import { gauge, type Labels, type Metric } from '../../formats/metrics-text.ts';
import type { Counted } from '../fleet/census-tally.ts';
import type { ShownLock } from '../fleet/reboot-locks.ts';
import { progressOf, type Shown } from '../pages/rollout-progress.ts';

/** The machines by channel and group, version, state; `undefined` until they have been counted once. */
export function machineMetrics(counted: Counted | undefined): readonly Metric[] {
  if (!counted) return [];
  const by = (name: 'group' | 'version' | 'state', part: 'groups' | 'versions' | 'states') =>
    gauge(
      `tandem_machines_by_${name}`,
      `Machines by channel and ${name}, when they were last counted.`,
      Object.entries(counted.channels).flatMap(([channel, tally]) =>
        Object.entries(tally[part]).map(([key, value]) => ({ labels: { channel, [name]: key }, value })),
      ),
    );
  return [
    by('group', 'groups'),
    by('version', 'versions'),
    by('state', 'states'),
    gauge('tandem_machines_silent', 'Machines that have not checked in for a day.', counted.silent),
    gauge('tandem_machines_cloned', 'Ids that two machines have.', counted.cloned ?? 0),
    gauge(
      'tandem_machines_failed',
      'Machines whose last attempt failed, by version and by the name of the failure.',
      failuresOf(counted),
    ),
    gauge(
      'tandem_machines_counted_timestamp_seconds',
      'When the machines were last counted.',
      Date.parse(counted.at) / 1000,
    ),
  ];
}

/** Names come from hosts: whatever is none is counted with the others. */
function failuresOf({ failures }: Counted) {
  return summed(
    failures.map(({ version, code, machines }) => ({
      labels: { version, code: /^[a-z0-9-]{1,64}$/.test(code) ? code : MANY },
      value: machines,
    })),
  );
}

/** Rollouts by channel; what has no limit has no figure for it. */
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
      'What the channel offers.',
      rollouts
        .slice(0, MOST_CHANNELS)
        .map(({ channel, state: { version } }) => ({ labels: { channel, version }, value: 1 })),
    ),
    of('machines', 'Machines that follow the channel, when they were last counted.', (one) => one.tally?.machines ?? 0),
    of(
      'done',
      'Machines that run what it offers, when they were last counted.',
      (one) => progressOf(one, now.getTime()).done,
    ),
    of('planned', 'Machines that should run it by now.', (one) => progressOf(one, now.getTime()).plan),
    of(
      'started_timestamp_seconds',
      'When it began.',
      ({ state }) => state.offered && state.offered.policy.start / 1000,
    ),
    of('in_flight', 'Machines that are taking the release now.', ({ ledger }) => ledger.inFlight.size),
    of('max_in_flight', 'How many may take it at once.', ({ state }) => limit(state.offered?.limits.maxInFlight)),
    of('updated', 'Machines that have taken it, since it began.', ({ ledger }) => ledger.updated),
    of('failed', 'Machines on which it failed.', ({ ledger }) => ledger.failed.size),
    of('max_failures', 'More failures than these pull the brake.', ({ state }) =>
      limit(state.offered?.limits.maxFailures),
    ),
    of('braked', '1 when the brake was pulled, by failures or by hand.', ({ ledger }) =>
      flag(ledger.braked !== undefined),
    ),
    of('paused', '1 when its signed document pauses it.', ({ state }) =>
      flag(state.offered?.policy.pause !== undefined),
    ),
  ];
}

/** Locks by group; groups beyond the first are summed up. */
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
    of('max', 'How many hosts of the group may reboot at once.', ({ max }) => max),
    of('held', 'Hosts that hold the lock.', ({ holders }) => holders.length),
    of('late', 'Holders that should be back by now.', ({ holders }) => holders.filter(({ late }) => late).length),
    of('oldest_holder_age_seconds', 'For how long the oldest holder has had it.', age, Math.max),
  ];
}

/** When the metadata of the repository expires, by role. */
export const expiryMetrics = (expires: ReadonlyMap<string, Date>): readonly Metric[] => [
  gauge(
    'tandem_repository_expires_timestamp_seconds',
    'When the signed metadata of the role expires.',
    [...expires].map(([role, at]) => ({ labels: { role }, value: at.getTime() / 1000 })),
  ),
];

const MOST_CHANNELS = 24;
const MOST_GROUPS = 60;
const MANY = 'others';
const sum = (one: number, other: number): number => one + other;

type One = Readonly<{ labels: Labels; value: number }>;

/** Those with the same labels as one. */
function summed(samples: readonly One[], join = sum): readonly One[] {
  const all = new Map<string, One>();
  for (const { labels, value } of samples) {
    const key = Object.values(labels).join('\n');
    all.set(key, { labels, value: join(all.get(key)?.value ?? 0, value) });
  }
  return [...all.values()];
}
