/** The mark of one server in etcd: the name of what it wrote last. Whoever has lost an answer finds in it whether the writing was done. */

import { asUpdateError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { Etcd } from '../../system/etcd/etcd.ts';
import type { Random } from '../../system/random.ts';

export type Mark = Readonly<{
  key: string;
  /** A name for what is to be written, never used before. */
  next(): number;
  /** A lease to write it with, so that the marks of servers that are no more go away. */
  lease(): Promise<string>;
  /** Whether `error` says that the lease is gone, as after a restored backup or a long sleep; the next one is new. */
  isLost(error: unknown): boolean;
  close(): Promise<void>;
}>;

type MarkWorld = Readonly<{ etcd: Etcd; clock: Clock; random: Random; prefix: string }>;

/** A mark of its own for every start of a server. */
export function createMark({ etcd, clock, random, prefix }: MarkWorld): Mark {
  let kept: Readonly<{ lease: string; at: number }> | undefined;
  let count = 0;
  return {
    key: `${prefix}/mark/${Buffer.from(random.bytes(16)).toString('hex')}`,
    next: () => ++count,
    lease: async () => {
      const at = clock.monotonicMs();
      if (kept && at - kept.at < LEASE_SECONDS * 250) return kept.lease;
      const isAlive = kept !== undefined && (await etcd.keepAlive(kept.lease));
      kept = { lease: isAlive && kept ? kept.lease : await etcd.grantLease(LEASE_SECONDS), at };
      return kept.lease;
    },
    isLost: (error) => {
      const { code, message } = asUpdateError(error);
      const isLost = code === 'etcd-refused' && /lease not found/.test(message);
      if (isLost) kept = undefined;
      return isLost;
    },
    close: async () => {
      const last = kept;
      kept = undefined;
      // Without etcd it ends by itself, a little later.
      if (last) await etcd.revokeLease(last.lease).catch(() => {});
    },
  };
}

/** Much longer than anybody waits for an answer. */
const LEASE_SECONDS = 3600;
