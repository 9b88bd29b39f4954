/** The semaphore with a score: how many hosts may be under way at once, and how many failures end a rollout. Time comes from outside. */

import type { MachineId, Version } from '../model.ts';

/** `maxInFlight` bounds the hosts under way; more than `maxFailures` failed ones pull the brake. `noOverdue`: whoever asks has no clock to go by. */
export type Limits = Readonly<{ maxInFlight: number; maxFailures: number; noOverdue?: true }>;

/** What a host attempts: the release of the rollout, or `via` another one that it must run on the way, or may not go beyond. */
export type Attempt = Readonly<{ machine: MachineId; via?: Version }>;
/** `due`: by when it must have reported. */
export type UnderWay = Readonly<{ due: number; via?: Version }>;
/** `doubt`: nobody can tell that it was the release. It counts until more is known, and the host may try again. `silent`: it was not heard of in time. */
export type Failed = Readonly<{ reason: string; via?: Version; doubt?: Doubt }>;
export type Doubt = 'silent' | 'lost';

/**
 * Only hosts under way (the earliest due first) and failed ones are named, and the limits bound both; those that made it are a number. The
 * verbs below change the ledger that they are given.
 */
export type Ledger = {
  readonly inFlight: Map<MachineId, UnderWay>;
  readonly failed: Map<MachineId, Failed>;
  /** Hosts that an operator has let in again and that have not begun since: what they refuse by themselves they may forget. */
  readonly readmitted: Set<MachineId>;
  updated: number;
  /** Set when the brake was pulled; only an operator releases it. `byHand`: an operator pulled it, not too many failures. */
  braked?: Readonly<{ at: number; reason: string; byHand?: true }>;
};

export const emptyLedger = (): Ledger => ({
  inFlight: new Map(),
  failed: new Map(),
  readmitted: new Set(),
  updated: 0,
});

/** Every refusal of a server has a name. */
export const ADMISSION_CODES = ['braked', 'full', 'failed-here', 'not-on-offer'] as const;
export type AdmissionCode = (typeof ADMISSION_CODES)[number];

export type Admission =
  | Readonly<{ admitted: true }>
  | Readonly<{ admitted: false; code: AdmissionCode; reason: string }>;

/** Whether a host whose turn has come may begin. One that is under way to the same release keeps its place, even when the brake is pulled. */
export function admit(ledger: Ledger, limits: Limits, attempt: Attempt, now: number, patienceMs: number): Admission {
  const { machine, via } = attempt;
  giveUpOverdue(ledger, limits, now);
  const underWay = ledger.inFlight.get(machine);
  if (underWay && underWay.via === via) return { admitted: true };
  // It wants something else by now, so what it had begun is over.
  leave(ledger, machine);
  if (ledger.braked) return refused('braked', ledger.braked.reason);
  const failure = ledger.failed.get(machine);
  if (failure && !failure.doubt) return refused('failed-here', 'the release has failed on this host');
  if (ledger.inFlight.size >= limits.maxInFlight)
    return refused('full', `${ledger.inFlight.size} hosts are under way, which is the limit`);
  // At the end: the earliest due comes first.
  forget(ledger, machine);
  ledger.inFlight.set(machine, { due: now + patienceMs, ...on(via) });
  return { admitted: true };
}

/** A host has proven the release. Told twice it counts once; one that was given up and then made it is no failure any more. */
export function succeed(ledger: Ledger, machine: MachineId): void {
  if (pass(ledger, machine)) ledger.updated += 1;
}

/** A host has proven what it had to run on the way: nothing is held against it, and it may ask for the next. Whether it was known. */
export function pass(ledger: Ledger, machine: MachineId): boolean {
  const isKnown = ledger.inFlight.has(machine) || ledger.failed.has(machine);
  forget(ledger, machine);
  return isKnown;
}

/** An attempt has failed. */
export function fail(
  ledger: Ledger,
  limits: Limits,
  { machine, via }: Attempt,
  { reason, doubt }: Pick<Failed, 'reason' | 'doubt'>,
  now: number,
): void {
  forget(ledger, machine);
  ledger.failed.set(machine, { reason, ...on(via), ...(doubt ? { doubt } : {}) });
  pullIfDue(ledger, limits, now);
}

/** A host that was given up is there again, and nothing has failed: it was only away. */
export function returned(ledger: Ledger, machine: MachineId): void {
  if (ledger.failed.get(machine)?.doubt === 'silent') ledger.failed.delete(machine);
}

/** An operator lets a host try again on which the release has failed, or all of them; how many. */
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

/** As many hosts as a ledger has room for. */
const MOST_READMITTED = 5000;

/** A host has given up before it tried anything: its place is free, and nobody is hurt. */
export function leave(ledger: Ledger, machine: MachineId): void {
  ledger.inFlight.delete(machine);
}

/** Hosts that have not reported in time count as failed, since nobody else will say so. */
export function giveUpOverdue(ledger: Ledger, limits: Limits, now: number): void {
  for (const [machine, { due, via }] of ledger.inFlight) {
    if (limits.noOverdue || due > now) break;
    ledger.inFlight.delete(machine);
    ledger.failed.set(machine, { reason: 'not heard of again', ...on(via), doubt: 'silent' });
  }
  pullIfDue(ledger, limits, now);
}

/** An operator stops the rollout by hand; what stopped it before stays the reason. */
export function pull(ledger: Ledger, reason: string, now: number): void {
  ledger.braked ??= { at: now, reason, byHand: true };
}

/**
 * An operator lets the rollout go on: what pulled the brake is forgiven, those hosts may try again, and failures count from anew. A pause by hand
 * forgives nothing, nor does asking twice.
 */
export function release(ledger: Ledger): void {
  if (ledger.braked && !ledger.braked.byHand) readmit(ledger);
  delete ledger.braked;
}

function pullIfDue(ledger: Ledger, { maxFailures }: Limits, now: number): void {
  if (ledger.braked || ledger.failed.size <= maxFailures) return;
  ledger.braked = { at: now, reason: `${hosts(ledger.failed.size)} failed, and ${maxFailures} may fail` };
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
