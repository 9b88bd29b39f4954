/** This host's part in a lock that lives elsewhere: what FleetLock and etcd have in common. */

import type { Verdict } from '../../../model.ts';

/** Held, or why not, by name and in a sentence, and when to ask again at the earliest. */
export type LockAnswer = Verdict<Readonly<{ code: Objection; askAgainMs: number }>>;

/** Why somebody who answers does not grant the lock. */
export type Objection =
  | 'lock-full'
  | 'lock-turn'
  | 'lock-failures'
  | 'lock-contended'
  | 'lock-etcd-ill'
  | 'lock-refused';

/** How an attempt to update ended. */
export type Ended = Readonly<{ failed?: string }>;

/** What this host could not give back yet. */
export type LockDebt = Readonly<{ place: string; group: string; since: string }>;

/** Every verb may be repeated; each throws when nobody answers, and then nothing is known. */
export interface LockClient {
  /** Whether it is told how attempts end, and grants nobody anything after too many failures. */
  readonly countsFailures: boolean;
  /** Asked when nothing else objects to a reboot; `why` is shown to those who wait. Asking again keeps the lock, or the place in the queue. */
  take(why: string): Promise<LockAnswer>;
  /** Right before the reboot: from here on the lock does not end with this host. Throws `lock-lost` when it was lost. */
  begin(): Promise<void>;
  /**
   * The lock is given back, and that has been seen; also when it was never had. `ended` says that an attempt was made and, if so, how
   * it failed: failures are counted against the fleet's budget until this host succeeds.
   */
  giveBack(ended?: Ended): Promise<void>;
}
