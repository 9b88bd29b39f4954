/** The lock that a fleet lends to one host at a time: the last gate, asked only while all others are open. */

import { OPEN, type Verdict } from './gate.ts';

/** One host that holds the lock. Times are ISO 8601 in UTC. */
export type LockHolder = Readonly<{ id: string; since?: string; why?: string }>;

export type LockStatus = Readonly<{
  /** Where the lock lives, as people know it: an address, or etcd and a key. */
  place: string;
  group: string;
  held: boolean;
  since?: string;
  /** As far as the last answer told. */
  holders?: readonly LockHolder[];
  max?: number;
}>;

/** What this host could not give back yet. */
export type LockDebt = Readonly<{ place: string; group: string; since: string }>;

export interface RebootLock {
  /**
   * Asks for the lock; `open` means that it is ours. Asking while it is ours says so again. Throws nothing: what cannot be reached is
   * a closed gate with the time of the next try.
   */
  take(): Promise<Verdict>;
  /**
   * Right before the machine is armed and reboots: from here on the lock outlives this host's silence, up to a deadline. Throws
   * `lock-lost` when it is not ours any more.
   */
  begin(): Promise<void>;
  /**
   * Gives it back; nothing to do when it is not ours. Throws when that could not be made sure of, and is then owed.
   * `ended` says that an attempt was made and, if so, how it failed: the fleet counts failures.
   */
  giveBack(ended?: Readonly<{ failed?: string }>): Promise<void>;
  /** Tries again to give back what is owed; throws when some of it still is. */
  giveBackOwed(): Promise<void>;
  /** The oldest that is owed. */
  debt(): LockDebt | undefined;
  /** What was last known, without asking anybody. */
  status(): LockStatus | undefined;
}

/** Where no lock is configured. */
export const noLock: RebootLock = {
  take: async () => OPEN,
  begin: async () => {},
  giveBack: async () => {},
  giveBackOwed: async () => {},
  debt: () => undefined,
  status: () => undefined,
};
