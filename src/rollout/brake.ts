/** The semaphore with a score: how many hosts may be under way at once, and how many failures end a rollout. Time comes from outside. */

import type { MachineId } from '../model.ts';

/** `maxInFlight` bounds the hosts under way; more than `maxFailures` failed ones pull the brake. */
export type Limits = Readonly<{ maxInFlight: number; maxFailures: number }>;

/**
 * Only hosts under way (with the time by which they must have reported, the earliest first) and failed ones (with what they said) are
 * named, and the limits bound both; those that made it are a number. The verbs below change the ledger that they are given.
 */
export type Ledger = {
  readonly inFlight: Map<MachineId, number>;
  readonly failed: Map<MachineId, string>;
  updated: number;
  /** Set when the brake was pulled; only an operator releases it. `byHand`: an operator pulled it, not too many failures. */
  braked?: Readonly<{ at: number; reason: string; byHand?: true }>;
};

export const emptyLedger = (): Ledger => ({ inFlight: new Map(), failed: new Map(), updated: 0 });

/** Every refusal of a server has a name. */
export const ADMISSION_CODES = ['braked', 'full', 'failed-here', 'not-on-offer'] as const;
export type AdmissionCode = (typeof ADMISSION_CODES)[number];

export type Admission =
  | Readonly<{ admitted: true }>
  | Readonly<{ admitted: false; code: AdmissionCode; reason: string }>;

/** Whether a host whose turn has come may begin. A host that is under way already keeps its place, even when the brake is pulled. */
export function admit(ledger: Ledger, limits: Limits, machine: MachineId, now: number, patienceMs: number): Admission {
  giveUpOverdue(ledger, limits, now);
  if (ledger.inFlight.has(machine)) return { admitted: true };
  if (ledger.braked) return refused('braked', ledger.braked.reason);
  if (ledger.failed.has(machine)) return refused('failed-here', 'the release has failed on this host');
  if (ledger.inFlight.size >= limits.maxInFlight)
    return refused('full', `${ledger.inFlight.size} hosts are under way, which is the limit`);
  ledger.inFlight.set(machine, now + patienceMs);
  return { admitted: true };
}

/** A host has reported. What is told twice counts once; a host that was given up and then made it is no failure any more. */
export function report(
  ledger: Ledger,
  limits: Limits,
  machine: MachineId,
  failure: string | undefined,
  now: number,
): void {
  const wasKnown = ledger.inFlight.delete(machine) || ledger.failed.has(machine);
  ledger.failed.delete(machine);
  if (failure !== undefined) ledger.failed.set(machine, failure);
  else if (wasKnown) ledger.updated += 1;
  pullIfDue(ledger, limits, now);
}

/** Hosts that have not reported in time count as failed, since nobody else will say so. */
export function giveUpOverdue(ledger: Ledger, limits: Limits, now: number): void {
  for (const [machine, due] of ledger.inFlight) {
    if (due > now) break;
    ledger.inFlight.delete(machine);
    ledger.failed.set(machine, 'not heard of again');
  }
  pullIfDue(ledger, limits, now);
}

/** An operator stops the rollout by hand; what stopped it before stays the reason. */
export function pull(ledger: Ledger, reason: string, now: number): void {
  ledger.braked ??= { at: now, reason, byHand: true };
}

/** An operator lets the rollout go on: what pulled the brake is forgiven, and counts from anew. A pause by hand forgives nothing, nor does asking twice. */
export function release(ledger: Ledger): void {
  if (ledger.braked && !ledger.braked.byHand) ledger.failed.clear();
  delete ledger.braked;
}

function pullIfDue(ledger: Ledger, { maxFailures }: Limits, now: number): void {
  if (ledger.braked || ledger.failed.size <= maxFailures) return;
  ledger.braked = { at: now, reason: `${hosts(ledger.failed.size)} failed, and ${maxFailures} may fail` };
}

const refused = (code: AdmissionCode, reason: string): Admission => ({
  admitted: false,
  code,
  reason,
});

const hosts = (count: number): string => `${count} host${count === 1 ? '' : 's'}`;
