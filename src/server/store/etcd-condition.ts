/** The state of etcd: its free space, and whether its history is compacted; as metrics, and in the log when it changes. */

import { asUpdateError, ERRORS } from '../../errors.ts';
import { gauge, type Metric } from '../../formats/metrics-text.ts';
import type { EtcdCare, EtcdSize } from '../../system/etcd/etcd.ts';
import type { Log } from '../../system/log.ts';

/** `bytes` and `quotaBytes`: of the member with the least room. */
export type EtcdCondition = Readonly<{ bytes: number; quotaBytes: number; isFilling: boolean; isUncompacted: boolean }>;

export type EtcdConditionWorld = Readonly<{
  etcd: Pick<EtcdCare, 'sizes' | 'remembers'>;
  /** A key that we may read. */
  key: string;
  /** We compact it ourselves. */
  isOurs(): Promise<boolean | undefined>;
}>;

/** Undefined if no member answers. */
export async function etcdCondition({ etcd, key, isOurs }: EtcdConditionWorld): Promise<EtcdCondition | undefined> {
  const [fullest] = (await etcd.sizes()).toSorted((one, other) => shareOf(other) - shareOf(one));
  if (!fullest) return undefined;
  const { bytes, revision, quotaBytes = USUAL_QUOTA } = fullest;
  const history = Number(revision);
  const isUsed = history > FEW || shareOf(fullest) > LITTLE;
  const isGrowing = isUsed && (await isOurs()) !== true;
  const oldest = String(Math.max(1, history - MANY));
  const isUncompacted = isGrowing && (await etcd.remembers(key, oldest).catch(unlessDenied));
  return { bytes, quotaBytes, isFilling: fullest.isFull || shareOf(fullest) > FILLING, isUncompacted };
}

/** Unknown without permission. */
function unlessDenied(error: unknown): false {
  if (asUpdateError(error).code === 'etcd-denied') return false;
  throw error;
}

const shareOf = ({ bytes, quotaBytes = USUAL_QUOTA }: EtcdSize): number => bytes / quotaBytes;

/** etcd's default, if it does not report its quota. */
const USUAL_QUOTA = 2 * 1024 ** 3;
/** For most clusters, days before it is full. */
export const FILLING = 0.5;
/** More than a cluster makes before it is used, even with the smallest changes, and more than an hourly compaction leaves. */
const FEW = 1000;
const LITTLE = 0.1;
const MANY = 1_000_000;

export type EtcdWatch = Readonly<{
  /** Looks again, and logs changes. */
  look(): Promise<void>;
  metrics(): readonly Metric[];
}>;

export function watchEtcd(world: EtcdConditionWorld, log: Log): EtcdWatch {
  let last: EtcdCondition | undefined;
  return {
    look: async () => {
      const now = await etcdCondition(world);
      if (now) tell(now, last, log);
      last = now ?? last;
    },
    metrics: () => (last ? etcdMetrics(last) : []),
  };
}

const CODES = { isFilling: 'etcd-filling', isUncompacted: 'etcd-uncompacted' } as const;

function tell(now: EtcdCondition, last: EtcdCondition | undefined, log: Log): void {
  const { bytes, quotaBytes } = now;
  for (const [fact, code] of Object.entries(CODES) as [keyof typeof CODES, (typeof CODES)[keyof typeof CODES]][]) {
    if (now[fact] === (last?.[fact] ?? false)) continue;
    const { sentence, next } = ERRORS[code];
    if (now[fact]) log.warn({ code, bytes, quotaBytes }, `${sentence} ${next}`);
    else log.info({ code, bytes, quotaBytes }, 'this is over');
  }
}

/** As Prometheus metrics. */
export const etcdMetrics = ({ bytes, quotaBytes, isUncompacted }: EtcdCondition): readonly Metric[] => [
  gauge('tandem_etcd_bytes', 'Size of the database of the etcd member with the least room.', bytes),
  gauge('tandem_etcd_quota_bytes', 'The limit of that size; etcd’s default if it reports none.', quotaBytes),
  gauge('tandem_etcd_uncompacted', '1 if the history of etcd is never compacted.', isUncompacted ? 1 : 0),
];
