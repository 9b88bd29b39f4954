/** A server's mark in etcd: the name of its last write. After a lost answer, it shows whether the write happened. */

import { asUpdateError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { Etcd } from '../../system/etcd/etcd.ts';
import type { Random } from '../../system/random.ts';

export type Mark = Readonly<{
  key: string;
  /** A unique name for the next write. */
  next(): number;
  /** The lease of the mark, so that marks of ended servers disappear. */
  lease(): Promise<string>;
  /** Whether `error` means that the lease is gone, as after a restored backup or a long sleep; a new one follows. */
  isLost(error: unknown): boolean;
  close(): Promise<void>;
}>;

type MarkWorld = Readonly<{ etcd: Etcd; clock: Clock; random: Random; prefix: string }>;

/** A mark for each start of a server. */
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
      // Without etcd, the lease expires by itself a little later.
      if (last) await etcd.revokeLease(last.lease).catch(() => {});
    },
  };
}

/** Much longer than any timeout of an answer. */
const LEASE_SECONDS = 3600;
