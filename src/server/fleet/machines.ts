/** The stored records of machines and ledgers, as documents. Pure. */

import { UpdateError } from '../../errors.ts';
import type { CheckIn, CheckInAnswer } from '../../formats/check-in.ts';
import type { MachineId, Version } from '../../model.ts';
import { type Doubt, emptyLedger, type Ledger } from '../../rollout/brake.ts';
import type { Json } from '../store/store.ts';
import type { Boots } from './clones.ts';
import { boundBy, type Shown } from './machine-secrets.ts';

/** The last check-in, and the machine's history; times are ISO 8601 in UTC. */
export type MachineRecord = Omit<CheckIn, 'boot'> &
  Boots &
  Readonly<{
    firstSeen: string;
    lastSeen: string;
    /** The source address of its last check-in, if it differs from the one it reports. */
    from?: string;
    /** The digest of the secret to which its id is bound. */
    secret?: string;
    /** The last sender refused for a wrong or missing secret. */
    stranger?: Stranger;
    /** The last “not yet” it was given. */
    hold?: Readonly<{ code: string; reason: string; until?: string }>;
    /** Version changes and ended attempts, newest last. */
    events: readonly Readonly<{ at: string; what: string; version: string; reason?: string }>[];
  }>;

export type Stranger = Readonly<{ at: string; from?: string; name?: string }>;

/** Parses a machine's document; undefined if it is not one. */
export function machineIn(document: Json | undefined): MachineRecord | undefined {
  const { running, events, ...rest } = (document ?? {}) as Partial<Record<keyof MachineRecord, Json>>;
  const { version } = (running ?? {}) as Readonly<Record<string, Json>>;
  const isWhole =
    [version, rest.machine, rest.group, rest.channel, rest.state, rest.since, rest.firstSeen, rest.lastSeen].every(
      (one) => typeof one === 'string',
    ) && Array.isArray(events);
  return isWhole ? (document as unknown as MachineRecord) : undefined;
}

const MOST_EVENTS = 30;

/** The record after a check-in. */
export function recorded(
  request: CheckIn,
  before: MachineRecord | undefined,
  answer: CheckInAnswer,
  { boots, ...shown }: Shown & Readonly<{ boots: Boots }>,
  now: Date,
): MachineRecord {
  const at = now.toISOString();
  const { go, schema: _, ...hold } = answer.go ? { ...answer, code: '', reason: '' } : answer;
  const { boot: _boot, host = before?.host, ...said } = request;
  return {
    ...said,
    // An agent that does not report it is an older one on the same host.
    ...(host ? { host } : {}),
    firstSeen: before?.firstSeen ?? at,
    lastSeen: at,
    ...fromOf(shown, host),
    ...secretOf(before, shown, request.confirmed),
    ...boots,
    ...(go ? {} : { hold }),
    events: [...(before?.events ?? []), ...news(request, before, at)].slice(-MOST_EVENTS),
  };
}

/** Its source address differs, as behind NAT. */
const fromOf = ({ from }: Shown, host: MachineRecord['host']): Pick<MachineRecord, 'from'> =>
  from === undefined || from === host?.address ? {} : { from };

function secretOf(
  before: MachineRecord | undefined,
  shown: Shown,
  confirmed: boolean,
): Pick<MachineRecord, 'secret' | 'stranger'> {
  const secret = before?.secret ?? boundBy(shown, confirmed);
  return { ...(secret === undefined ? {} : { secret }), ...(before?.stranger ? { stranger: before.stranger } : {}) };
}

/** The record with the refused sender; undefined if it is already there, so that repeated attempts change nothing. */
export function withStranger(
  before: MachineRecord,
  { host }: CheckIn,
  { from }: Shown,
  now: Date,
): MachineRecord | undefined {
  const { stranger } = before;
  if (stranger?.from === from && now.getTime() - Date.parse(stranger?.at ?? '') < STRANGER_MS) return undefined;
  const who = { ...(from === undefined ? {} : { from }), ...(host?.name === undefined ? {} : { name: host.name }) };
  return { ...before, stranger: { at: now.toISOString(), ...who } };
}

const STRANGER_MS = 3_600_000;

function news({ running, outcome }: CheckIn, before: MachineRecord | undefined, at: string): MachineRecord['events'] {
  const changed = before !== undefined && before.running.version !== running.version;
  const ended = outcome !== undefined && outcome.at !== before?.outcome?.at;
  return [
    ...(ended
      ? [
          {
            at: outcome.at,
            what: outcome.result,
            version: outcome.version,
            ...(outcome.reason === undefined ? {} : { reason: outcome.reason }),
          },
        ]
      : []),
    ...(changed ? [{ at, what: 'runs', version: running.version }] : []),
  ];
}

/** A machine, its value, and the intermediate release if it is not the rollout's. */
type LedgerEntry<T> = readonly [machine: MachineId, kept: T, via?: Version];

type LedgerJson = Readonly<{
  inFlight: readonly LedgerEntry<number>[];
  failed: readonly LedgerEntry<string>[];
  /** Of failed machines; servers that do not know doubts treat them as ordinary failures. */
  doubts?: Readonly<Record<string, Doubt>>;
  readmitted?: readonly MachineId[];
  updated: number;
  braked?: NonNullable<Ledger['braked']>;
}>;

/** Parses a stored ledger; empty if there is none. A damaged one throws, and so admits nobody. */
export function ledgerFrom(document: Json | undefined): Ledger {
  if (document === undefined) return emptyLedger();
  if (!isLedger(document))
    throw new UpdateError('store-document-invalid', 'The ledger of a rollout in the store is damaged.');
  const { inFlight, failed, doubts = {}, readmitted = [], updated, braked } = document;
  return {
    inFlight: new Map(inFlight.map(([machine, due, via]) => [machine, { due, ...(via ? { via } : {}) }])),
    failed: new Map(
      failed.map(([machine, reason, via]) => {
        const doubt = Object.hasOwn(doubts, machine) ? doubts[machine] : undefined;
        return [machine, { reason, ...(via ? { via } : {}), ...(doubt ? { doubt } : {}) }];
      }),
    ),
    readmitted: new Set(readmitted),
    updated,
    ...(braked ? { braked } : {}),
  };
}

/** Not copied, because it is read on every check-in of a host about to start. */
const isLedger = (document: unknown): document is LedgerJson =>
  isRecord(document) &&
  areEntries(document['inFlight'], 'number') &&
  areEntries(document['failed'], 'string') &&
  (document['doubts'] === undefined || areDoubts(document['doubts'])) &&
  (document['readmitted'] === undefined || areIds(document['readmitted'])) &&
  typeof document['updated'] === 'number' &&
  (document['braked'] === undefined || isBrake(document['braked']));

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const areEntries = (given: unknown, kept: 'number' | 'string'): boolean =>
  Array.isArray(given) &&
  given.every(
    (one) =>
      Array.isArray(one) &&
      typeof one[0] === 'string' &&
      typeof one[1] === kept &&
      (one[2] === undefined || typeof one[2] === 'string'),
  );

const areDoubts = (given: unknown): boolean =>
  isRecord(given) && Object.values(given).every((one) => one === 'silent' || one === 'lost');

const areIds = (given: unknown): boolean => Array.isArray(given) && given.every((one) => typeof one === 'string');

const isBrake = (given: unknown): boolean =>
  isRecord(given) && typeof given['at'] === 'number' && typeof given['reason'] === 'string';

export const ledgerJson = ({ inFlight, failed, readmitted, updated, braked }: Ledger): Json => ({
  inFlight: [...inFlight].map(([machine, { due, via }]) => [machine, due, ...(via ? [via] : [])]),
  failed: [...failed].map(([machine, { reason, via }]) => [machine, reason, ...(via ? [via] : [])]),
  ...doubtsJson(failed),
  ...(readmitted.size > 0 ? { readmitted: [...readmitted] } : {}),
  updated,
  ...(braked ? { braked: { ...braked } } : {}),
});

function doubtsJson(failed: Ledger['failed']): Pick<LedgerJson, 'doubts'> {
  const doubts = [...failed].flatMap(([machine, { doubt }]) => (doubt ? [[machine, doubt] as const] : []));
  return doubts.length > 0 ? { doubts: Object.fromEntries(doubts) } : {};
}

/** The changed parts of a ledger to be written; nothing if it is unchanged. */
export const newsOf = (ledger: Ledger, kept: Json | undefined): Json | undefined =>
  isKept(ledger, kept) ? undefined : ledgerJson(ledger);

/** Whether a ledger equals the stored one. Most check-ins change nothing, and comparing is far cheaper than writing. */
export function isKept(ledger: Ledger, document: Json | undefined): boolean {
  const kept = (document ?? NOTHING) as LedgerJson;
  return (
    kept.updated === ledger.updated &&
    isBrakeOf(ledger, kept.braked) &&
    areEntriesOf(ledger.inFlight, kept.inFlight, ({ due }) => due) &&
    areEntriesOf(ledger.failed, kept.failed, ({ reason }) => reason) &&
    [...ledger.failed].every(([machine, { doubt }]) => kept.doubts?.[machine] === doubt) &&
    [...ledger.readmitted].join() === (kept.readmitted ?? []).join()
  );
}

const NOTHING: LedgerJson = { inFlight: [], failed: [], updated: 0 };

const isBrakeOf = ({ braked }: Ledger, kept: Ledger['braked']): boolean =>
  braked?.at === kept?.at && braked?.reason === kept?.reason && braked?.byHand === kept?.byHand;

/** In the same order, because the earliest due comes first. */
function areEntriesOf<T, V extends Readonly<{ via?: Version }>>(
  map: ReadonlyMap<string, V>,
  kept: readonly LedgerEntry<T>[],
  keptOf: (value: V) => T,
): boolean {
  if (map.size !== kept.length) return false;
  let at = 0;
  for (const [key, value] of map) {
    const before = kept[at++];
    if (before?.[0] !== key || before[1] !== keptOf(value) || before[2] !== value.via) return false;
  }
  return true;
}
