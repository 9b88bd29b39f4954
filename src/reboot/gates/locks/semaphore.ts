/** The lock on rebooting: at most `max` hosts have it. Pure: who is gone or late, and who asked before, the caller knows. */

import { UpdateError } from '../../../errors.ts';

/** A host first waits to reboot (bound to a lease: dies with the host), then reboots (without one, but with a deadline). */
export type Phase = 'waiting' | 'rebooting';

/** A host as others see it; `hardware` tells two hosts with one id apart, empty when it is not known. */
export type Member = Readonly<{ id: string; name: string; hardware: string }>;

export type Holder = Member & Readonly<{ phase: Phase; since: string; why: string; deadlineSeconds: number }>;

/** A host whose new system did not prove itself. */
export type Failure = Readonly<{ id: string; name: string; since: string; why: string }>;

/** There is no count of what is free: it follows from the holders. */
export type Semaphore = Readonly<{
  schema: 1;
  max: number;
  /** So many failures are put up with; one more, and nobody is granted the lock. */
  maxFailures: number;
  holders: readonly Holder[];
  failures: readonly Failure[];
}>;

/** What the document cannot know by itself. */
export type Sight = Readonly<{
  /** The host of a holder that waits has died. */
  gone(holder: Holder): boolean;
  /** A holder that reboots is past its deadline. */
  late(holder: Holder): boolean;
  /** How many hosts asked before and still do. */
  ahead: number;
}>;

export type Ask = Member & Readonly<{ since: string; why: string; deadlineSeconds: number }>;

export type Refusal = Readonly<{ code: 'lock-full' | 'lock-turn' | 'lock-failures'; reason: string }>;

/** How the host's attempt ended; undefined when it was not made. */
export type Ending = Readonly<{ ok: true }> | Readonly<{ ok: false; since: string; why: string }>;

export const emptySemaphore = (max: number, maxFailures: number): Semaphore => ({
  schema: 1,
  max,
  maxFailures,
  holders: [],
  failures: [],
});

/** Asks for the lock; the same document comes back when the host has it already. */
export function take(document: Semaphore, ask: Ask, sight: Sight): Semaphore | Refusal {
  const holders = present(document, sight);
  const mine = holders.find(({ id }) => id === ask.id);
  if (mine) {
    checkHardware(mine, ask);
    return document;
  }
  const refusal = refuse(document, holders, ask, sight);
  return refusal ?? { ...document, holders: [...holders, holderOf(ask)] };
}

/** From waiting to rebooting; undefined when the lock was lost. Asked right before the reboot. */
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

/** Gives the lock back. A failure is remembered until the host succeeds or an operator releases it. */
export function giveBack(document: Semaphore, me: Member, ending?: Ending): Semaphore {
  const mine = document.holders.find(({ id }) => id === me.id);
  if (mine) checkHardware(mine, me);
  const failures = ending ? document.failures.filter(({ id }) => id !== me.id) : document.failures;
  const failed = ending?.ok === false ? [{ id: me.id, name: me.name, since: ending.since, why: ending.why }] : [];
  // The newest are kept: a fleet that fails whole must not make the document grow without bound.
  return {
    ...document,
    holders: without(document.holders, me.id),
    failures: [...failures, ...failed].slice(-MOST_FAILURES),
  };
}

/** What an operator does for a host that does not: by id or name; undefined when there is no such holder or failure. */
export function release(document: Semaphore, who: string): Semaphore | undefined {
  const isOther = (one: Readonly<{ id: string; name: string }>): boolean => one.id !== who && one.name !== who;
  const holders = document.holders.filter(isOther);
  const failures = document.failures.filter(isOther);
  const found = holders.length < document.holders.length || failures.length < document.failures.length;
  return found ? { ...document, holders, failures } : undefined;
}

/** Below the present holders too: nobody is granted the lock until enough have given it back. */
export const setMax = (document: Semaphore, max: number, maxFailures = document.maxFailures): Semaphore => ({
  ...document,
  max,
  maxFailures,
});

/** The holders that count: those that wait and are gone hold nothing; those that are late do. */
export const present = (document: Semaphore, sight: Pick<Sight, 'gone'>): readonly Holder[] =>
  document.holders.filter((one) => one.phase === 'rebooting' || !sight.gone(one));

export const isRefusal = (result: Semaphore | Refusal): result is Refusal => 'reason' in result;

export const MOST_FAILURES = 1000;

function refuse(document: Semaphore, holders: readonly Holder[], ask: Ask, sight: Sight): Refusal | undefined {
  const late = holders.filter((one) => one.phase === 'rebooting' && sight.late(one));
  // A host's own failure does not bar it: with a better release it is the one to show it.
  const bad = [...late, ...document.failures.filter(({ id }) => id !== ask.id)];
  if (bad.length > document.maxFailures)
    return { code: 'lock-failures', reason: `${namesOf(bad)} failed or did not come back, so nobody goes on` };
  const free = document.max - holders.length;
  if (free <= 0)
    return { code: 'lock-full', reason: holders.length === 0 ? 'its size is 0' : `${namesOf(holders)} holds the lock` };
  if (sight.ahead >= free) return { code: 'lock-turn', reason: `${sight.ahead} hosts asked before` };
  return undefined;
}

/** Two machines made from one image: they would free each other's lock. */
function checkHardware(holder: Member, me: Member): void {
  if (holder.hardware === '' || me.hardware === '' || holder.hardware === me.hardware) return;
  throw new UpdateError('lock-identity', `${holder.name} takes part in the lock with the id of this host, ${me.id}.`);
}

const holderOf = ({ id, name, hardware, since, why, deadlineSeconds }: Ask): Holder => ({
  id,
  name,
  hardware,
  phase: 'waiting',
  since,
  why,
  deadlineSeconds,
});

const without = (holders: readonly Holder[], id: string): readonly Holder[] => holders.filter((one) => one.id !== id);

function namesOf(hosts: readonly Readonly<{ name: string; since: string }>[]): string {
  const named = hosts.slice(0, 3).map(({ name, since }) => `${name} (since ${since})`);
  return hosts.length > 3 ? `${named.join(', ')} and ${hosts.length - 3} more` : named.join(', ');
}
