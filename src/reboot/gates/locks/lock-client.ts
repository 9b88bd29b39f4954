/** The client of a remote lock, common to FleetLock and etcd. */

import type { Verdict } from '../../../model.ts';

/** Held, or refused with a code, a sentence and the earliest time to ask again. */
export type LockAnswer = Verdict<Readonly<{ code: Objection; askAgainMs: number }>>;

/** Why a reachable server does not grant the lock. */
export type Objection =
  | 'lock-full'
  | 'lock-turn'
  | 'lock-failures'
  | 'lock-contended'
  | 'lock-etcd-ill'
  | 'lock-refused';

/** The outcome of an update attempt. */
export type Ended = Readonly<{ failed?: string }>;

/** A lock that this host has not been able to release yet. */
export type LockDebt = Readonly<{ place: string; group: string; since: string }>;

/** All methods are idempotent; each throws if there was no answer, and the state is then unknown. */
export interface LockClient {
  /** Whether it counts failed attempts, and stops granting after too many. */
  readonly countsFailures: boolean;
  /** Requests the lock, once no other gate is closed; `why` is shown to waiting hosts. Repeating it keeps the lock or the place in the queue. */
  take(why: string): Promise<LockAnswer>;
  /** Right before the reboot: from here on the lock does not depend on this host. Throws `lock-lost` if it was lost. */
  begin(): Promise<void>;
  /**
   * Releases the lock, and verifies that; also if it was never held. `ended`: an attempt was made, with its failure if there was one, which
   * counts against the fleet's budget until this host succeeds.
   */
  giveBack(ended?: Ended): Promise<void>;
}
