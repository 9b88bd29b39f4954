/** The client of etcd's v3 JSON gateway: transactions and leases, several endpoints, linearizable reads only. */

import { UpdateError } from '../../errors.ts';
import { createMembers, type EtcdOptions, passedOver } from './members.ts';
import {
  type Answer,
  type EtcdSize,
  encoded,
  leaseIdOf,
  requestOf,
  sizeOf,
  type Transaction,
  timeToLiveOf,
  txnAnswerOf,
  watchRequestOf,
} from './messages.ts';
import { type Heard, listen } from './watch.ts';

export type { EtcdSize } from './messages.ts';

export interface Etcd {
  txn(txn: Transaction): Promise<Answer>;
  /** A lease of about that many seconds since its last renewal; longer after a change of leader. */
  grantLease(seconds: number): Promise<string>;
  /** False: the lease is gone. */
  keepAlive(lease: string): Promise<boolean>;
  revokeLease(lease: string): Promise<void>;
  /** Waits until a key with the prefix, which ends in a slash, is written or deleted after that revision, or the signal aborts. */
  watch(prefix: string, revision: string, signal: AbortSignal): Promise<Heard>;
  /** The fault of each endpoint; undefined if it is healthy. */
  ailments(): Promise<readonly (string | undefined)[]>;
}

/** Maintenance calls that keep etcd from filling up. */
export interface EtcdCare {
  /** Compacts the history before a revision; a no-op if that is done already. */
  compact(revision: string): Promise<void>;
  /** Whether etcd still has a key's value at a revision. */
  remembers(key: string, revision: string): Promise<boolean>;
  /** For every endpoint that answers. */
  sizes(): Promise<readonly EtcdSize[]>;
}

/** A client of the cluster with these endpoints; prefers the one that answered last. */
export function createEtcd(options: EtcdOptions): Etcd & EtcdCare {
  const { endpoints } = options;
  const { askOne, askAny, figuresOf, stream } = createMembers(options);
  return {
    txn: async (txn) => txnAnswerOf(await askAny('kv/txn', requestOf(txn))),
    grantLease: async (seconds) => leaseIdOf(await askAny('lease/grant', { TTL: String(seconds) })),
    keepAlive: async (lease) => timeToLiveOf(await askAny('lease/keepalive', { ID: lease })) > 0,
    revokeLease: async (lease) => {
      await askAny('lease/revoke', { ID: lease }).catch(unlessNotFound);
    },
    watch: (prefix, revision, signal) => listen(stream('watch', watchRequestOf(prefix, revision), signal)),
    compact: async (revision) => {
      await askAny('kv/compaction', { revision, physical: true }).catch(unlessCompacted);
    },
    remembers: async (key, revision) =>
      (await askAny('kv/range', { key: encoded(key), revision, count_only: true }).catch(unlessCompacted)) !==
      undefined,
    sizes: async () => {
      const asked = endpoints.map(async (one) =>
        sizeOf(await askOne(one, 'maintenance/status', {}), await figuresOf(one).catch(() => '')),
      );
      const told = await Promise.allSettled(asked);
      return told.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    },
    ailments: () =>
      Promise.all(endpoints.map((one) => askOne(one, 'maintenance/status', {}).then(ailmentOf, passedOver))),
  };
}

function unlessNotFound(error: unknown): undefined {
  if (error instanceof UpdateError && error.code === 'etcd-refused' && /lease not found/.test(error.message))
    return undefined;
  throw error;
}

function unlessCompacted(error: unknown): undefined {
  if (error instanceof UpdateError && error.code === 'etcd-refused' && /been compacted/.test(error.message))
    return undefined;
  throw error;
}

function ailmentOf(answer: unknown): string | undefined {
  if (typeof answer !== 'object' || answer === null) return 'its answer is invalid';
  if ('errors' in answer) return String(answer.errors).trim().slice(0, 200);
  return 'leader' in answer && answer.leader !== '0' ? undefined : 'it has no leader';
}
