/** The ledger of a rollout: limits how many hosts are under way, and pulls the brake after too many failures. Pure: time is an argument. */

import type { MachineId, Version } from '../model.ts';

/**
 * `maxInFlight`: the most hosts under way; more than `maxFailures` failures pull the brake. `noOverdue`: without a trusted clock, no host
 * is overdue.
 */
export type Limits = Readonly<{ maxInFlight: number; maxFailures: number; noOverdue?: true }>;

/** A host's attempt at the rollout's release, or at another one, `via`: a barrier on the way, or its group's pin. */
export type RolloutAttempt = Readonly<{ machine: MachineId; via?: Version }>;
/** `due`: the deadline of its report, in milliseconds since the epoch. */
export type UnderWay = Readonly<{ due: number; via?: Version }>;
/** `doubt`: the release may not be at fault. The failure counts until more is known, and the host may retry. `silent`: it did not report in time. */
export type Failed = Readonly<{ reason: string; via?: Version; doubt?: Doubt }>;
export type Doubt = 'silent' | 'lost';

/**
 * Lists only hosts under way (earliest due first) and failed ones, which the limits bound; updated hosts are only counted. The functions
 * below modify the ledger in place.
 */
export type Ledger = {
  readonly inFlight: Map<MachineId, UnderWay>;
  readonly failed: Map<MachineId, Failed>;
  /** Hosts that an operator has readmitted and that have not started since; each may drop its own refusal. */
  readonly readmitted: Set<MachineId>;
  updated: number;
  /** Set once the brake is pulled; only an operator releases it. `byHand`: pulled by an operator, not by failures. */
  braked?: Readonly<{ at: number; reason: string; byHand?: true }>;
};

export const emptyLedger = (): Ledger => ({
  inFlight: new Map(),
  failed: new Map(),
  readmitted: new Set(),
  updated: 0,
});

export const ADMISSION_CODES = ['braked', 'full', 'failed-here', 'not-on-offer'] as const;
export type AdmissionCode = (typeof ADMISSION_CODES)[number];

export type Admission =
  | Readonly<{ admitted: true }>
  | Readonly<{ admitted: false; code: AdmissionCode; reason: string }>;

/**
 * Admits a host whose turn has come, if there is a place. A host already under way to the same release keeps its place, even with the
 * brake pulled.
 */
export function admit(
  ledger: Ledger,
  limits: Limits,
  attempt: RolloutAttempt,
  now: number,
  patienceMs: number,
): Admission {
  const { machine, via } = attempt;
  giveUpOverdue(ledger, limits, now);
  const underWay = ledger.inFlight.get(machine);
  if (underWay && underWay.via === via) return { admitted: true };
  // It now wants another release, so its old attempt is over.
  leave(ledger, machine);
  if (ledger.braked) return refused('braked', ledger.braked.reason);
  const failure = ledger.failed.get(machine);
  if (failure && !failure.doubt) return refused('failed-here', 'the release has failed on this host');
  if (ledger.inFlight.size >= limits.maxInFlight)
    return refused('full', `${hosts(ledger.inFlight.size)} under way, which is the limit`);
  // Appended, which keeps the earliest due first.
  forget(ledger, machine);
  ledger.inFlight.set(machine, { due: now + patienceMs, ...on(via) });
  return { admitted: true };
}

/** A host has confirmed the release. Idempotent; also clears an earlier failure. */
export function succeed(ledger: Ledger, machine: MachineId): void {
  if (pass(ledger, machine)) ledger.updated += 1;
}

/** A host has confirmed an intermediate release: clears its record, so that it may ask for the next one. Returns whether it had one. */
export function pass(ledger: Ledger, machine: MachineId): boolean {
  const isKnown = ledger.inFlight.has(machine) || ledger.failed.has(machine);
  forget(ledger, machine);
  return isKnown;
}

export function fail(
  ledger: Ledger,
  limits: Limits,
  { machine, via }: RolloutAttempt,
  { reason, doubt }: Pick<Failed, 'reason' | 'doubt'>,
  now: number,
): void {
  forget(ledger, machine);
  ledger.failed.set(machine, { reason, ...on(via), ...(doubt ? { doubt } : {}) });
  pullIfDue(ledger, limits, now);
}

/** A silent host has reported again without a failure: it was only away. */
export function returned(ledger: Ledger, machine: MachineId): void {
  if (ledger.failed.get(machine)?.doubt === 'silent') ledger.failed.delete(machine);
}

/** Readmits a failed host, or all of them. Returns their number. */
export function readmit(ledger: Ledger, machine?: MachineId): number {
  const machines = machine === undefined ? [...ledger.failed.keys()] : [machine];
  for (const one of machines) {
    ledger.failed.delete(one);
    ledger.readmitted.add(one);
  }
  const [...all] = ledger.readmitted;
  for (const one of all.slice(0, -MOST_READMITTED)) ledger.readmitted.delete(one);
  return machines.length;
}

/** Bounds the size of the stored ledger. */
const MOST_READMITTED = 5000;

/** A host has withdrawn before trying the release: frees its place without a failure. */
export function leave(ledger: Ledger, machine: MachineId): void {
  ledger.inFlight.delete(machine);
}

/** Counts hosts that have not reported in time as failed. */
export function giveUpOverdue(ledger: Ledger, limits: Limits, now: number): void {
  for (const [machine, { due, via }] of ledger.inFlight) {
    if (limits.noOverdue || due > now) break;
    ledger.inFlight.delete(machine);
    ledger.failed.set(machine, { reason: 'no report in time', ...on(via), doubt: 'silent' });
  }
  pullIfDue(ledger, limits, now);
}

/** An operator pulls the brake; if it is pulled already, the first reason stays. */
export function pull(ledger: Ledger, reason: string, now: number): void {
  ledger.braked ??= { at: now, reason, byHand: true };
}

/**
 * An operator releases the brake. If failures had pulled it, they are forgiven, their hosts may retry, and the count restarts; after a
 * manual pause, failures still count.
 */
export function release(ledger: Ledger): void {
  if (ledger.braked && !ledger.braked.byHand) readmit(ledger);
  delete ledger.braked;
}

function pullIfDue(ledger: Ledger, { maxFailures }: Limits, now: number): void {
  if (ledger.braked || ledger.failed.size <= maxFailures) return;
  ledger.braked = { at: now, reason: `${hosts(ledger.failed.size)} failed, ${maxFailures} allowed` };
}

function forget({ inFlight, failed, readmitted }: Ledger, machine: MachineId): void {
  inFlight.delete(machine);
  failed.delete(machine);
  readmitted.delete(machine);
}

const refused = (code: AdmissionCode, reason: string): Admission => ({
  admitted: false,
  code,
  reason,
});

const on = (via: Version | undefined): Readonly<{ via?: Version }> => (via === undefined ? {} : { via });

const hosts = (count: number): string => `${count} host${count === 1 ? '' : 's'}`;
