/** The reboot lock: at most `max` hosts hold it. Pure: the caller supplies who is gone, overdue or ahead in the queue. */

import { UpdateError } from '../../../errors.ts';

/** A holder first waits to reboot (bound to a lease, which dies with the host), then reboots (without a lease, but with a deadline). */
export type Phase = 'waiting' | 'rebooting';

/** A host as others see it; `hardware` distinguishes hosts with the same id, and is empty if unknown. */
export type Member = Readonly<{ id: string; name: string; hardware: string }>;

export type LockHolder = Member & Readonly<{ phase: Phase; since: string; why: string; deadlineSeconds: number }>;

/** A host whose new system was not confirmed. */
export type LockFailure = Readonly<{ id: string; name: string; since: string; why: string }>;

/** The number of free places is not stored: it follows from the holders. */
export type Semaphore = Readonly<{
  schema: 1;
  max: number;
  /** The number of tolerated failures; with one more, the lock is granted to nobody. */
  maxFailures: number;
  holders: readonly LockHolder[];
  failures: readonly LockFailure[];
}>;

/** Facts that the document does not contain. */
export type Sight = Readonly<{
  /** Whether a waiting holder's host has died. */
  gone(holder: LockHolder): boolean;
  /** Whether a rebooting holder is past its deadline. */
  late(holder: LockHolder): boolean;
  /** The number of hosts ahead in the queue. */
  ahead: number;
}>;

export type Ask = Member & Readonly<{ since: string; why: string; deadlineSeconds: number }>;

export type LockRefusal = Readonly<{ code: 'lock-full' | 'lock-turn' | 'lock-failures'; reason: string }>;

/** The outcome of the host's attempt; undefined if there was none. */
export type Ending = Readonly<{ ok: true }> | Readonly<{ ok: false; since: string; why: string }>;

export const emptySemaphore = (max: number, maxFailures: number): Semaphore => ({
  schema: 1,
  max,
  maxFailures,
  holders: [],
  failures: [],
});

/** Requests the lock; returns the document unchanged if the host already holds it. */
export function take(document: Semaphore, ask: Ask, sight: Sight): Semaphore | LockRefusal {
  const holders = present(document, sight);
  const mine = holders.find(({ id }) => id === ask.id);
  if (mine) {
    checkHardware(mine, ask);
    return document;
  }
  const refusal = refuse(document, holders, ask, sight);
  return refusal ?? { ...document, holders: [...holders, holderOf(ask)] };
}

/** Moves a holder from waiting to rebooting, right before the reboot; undefined if the lock was lost. */
export function begin(document: Semaphore, me: Member, since: string, sight: Sight): Semaphore | undefined {
  const mine = present(document, sight).find(({ id }) => id === me.id);
  if (!mine) return undefined;
  checkHardware(mine, me);
  if (mine.phase === 'rebooting') return document;
  return {
    ...document,
    holders: document.holders.map((one) => (one === mine ? { ...mine, phase: 'rebooting', since } : one)),
  };
}

/** Releases the lock. A failure is kept until the host succeeds or an operator clears it. */
export function giveBack(document: Semaphore, me: Member, ending?: Ending): Semaphore {
  const mine = document.holders.find(({ id }) => id === me.id);
  if (mine) checkHardware(mine, me);
  const failures = ending ? document.failures.filter(({ id }) => id !== me.id) : document.failures;
  const failed = ending?.ok === false ? [{ id: me.id, name: me.name, since: ending.since, why: ending.why }] : [];
  // Keeps only the newest, so that a failing fleet cannot grow the document without bound.
  return {
    ...document,
    holders: without(document.holders, me.id),
    failures: [...failures, ...failed].slice(-MOST_FAILURES),
  };
}

/** An operator's release for a host, by id or name; undefined if there is no such holder or failure. */
export function release(document: Semaphore, who: string): Semaphore | undefined {
  const isOther = (one: Readonly<{ id: string; name: string }>): boolean => one.id !== who && one.name !== who;
  const holders = document.holders.filter(isOther);
  const failures = document.failures.filter(isOther);
  const found = holders.length < document.holders.length || failures.length < document.failures.length;
  return found ? { ...document, holders, failures } : undefined;
}

/** May be lower than the number of holders: then nobody gets the lock until enough have released it. */
export const setMax = (document: Semaphore, max: number, maxFailures = document.maxFailures): Semaphore => ({
  ...document,
  max,
  maxFailures,
});

/** The holders that count: not those that died while waiting, but overdue ones. */
export const present = (document: Semaphore, sight: Pick<Sight, 'gone'>): readonly LockHolder[] =>
  document.holders.filter((one) => one.phase === 'rebooting' || !sight.gone(one));

export const isRefusal = (result: Semaphore | LockRefusal): result is LockRefusal => 'reason' in result;

export const MOST_FAILURES = 1000;

function refuse(document: Semaphore, holders: readonly LockHolder[], ask: Ask, sight: Sight): LockRefusal | undefined {
  const late = holders.filter((one) => one.phase === 'rebooting' && sight.late(one));
  // A host's own failure does not block it, so that it can prove a better release.
  const bad = [...late, ...document.failures.filter(({ id }) => id !== ask.id)];
  if (bad.length > document.maxFailures)
    return {
      code: 'lock-failures',
      reason: `${namesOf(bad)} failed or did not come back, so no other host may reboot`,
    };
  const free = document.max - holders.length;
  if (free <= 0)
    return { code: 'lock-full', reason: holders.length === 0 ? 'its size is 0' : `${namesOf(holders)} holds the lock` };
  if (sight.ahead >= free) return { code: 'lock-turn', reason: `${sight.ahead} hosts are ahead in the queue` };
  return undefined;
}

/** Two machines made from one image would free each other's lock. */
function checkHardware(holder: Member, me: Member): void {
  if (holder.hardware === '' || me.hardware === '' || holder.hardware === me.hardware) return;
  throw new UpdateError('lock-identity', `${holder.name} uses the lock with this host’s id, ${me.id}.`);
}

const holderOf = ({ id, name, hardware, since, why, deadlineSeconds }: Ask): LockHolder => ({
  id,
  name,
  hardware,
  phase: 'waiting',
  since,
  why,
  deadlineSeconds,
});

const without = (holders: readonly LockHolder[], id: string): readonly LockHolder[] =>
  holders.filter((one) => one.id !== id);

function namesOf(hosts: readonly Readonly<{ name: string; since: string }>[]): string {
  const named = hosts.slice(0, 3).map(({ name, since }) => `${name} (since ${since})`);
  return hosts.length > 3 ? `${named.join(', ')} and ${hosts.length - 3} more` : named.join(', ');
}
