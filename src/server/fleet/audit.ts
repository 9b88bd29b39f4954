/** The audit log: who changed what, when and from where. An entry is written in the same transaction as its change. */

import { type Checked, integer, literal, named, object, optional, words } from '../../formats/shape.ts';
import { moment } from '../../formats/wire-words.ts';
import type { Change, Json, Key, Store } from '../store/store.ts';

export const DEEDS = [
  'rollout-paused',
  'rollout-resumed',
  'rollout-aborted',
  'machine-readmitted',
  'brake-pulled',
  'lock-freed',
  'lock-resized',
  'machine-forgotten',
  'machine-reset',
  'token-added',
  'token-revoked',
  'signed-in',
  'sign-in-failed',
] as const;
export type Deed = (typeof DEEDS)[number];

const line = words(250);

/** `who`: the name of a token; `from`: an address. `times`: the number of occurrences within an hour, if more than one. */
export const ENTRY = named(
  'AuditEntry',
  object(
    {
      at: moment,
      what: literal(...DEEDS),
      who: line,
      from: line,
      about: optional(line),
      reason: optional(line),
      times: optional(integer(2)),
    },
    'ignore',
  ),
);
export type AuditEntry = Checked<typeof ENTRY>;

/** An entry to be written. `kept` is called once it is stored together with its change. */
export type PendingEntry = AuditEntry & Readonly<{ kept?(): void }>;

/** An update of `store` with an audit entry; an update that writes nothing has none. */
export async function audited<T>(
  store: Store,
  entry: PendingEntry | undefined,
  keys: readonly Key[],
  change: (documents: readonly (Json | undefined)[]) => Change<T>,
): Promise<T> {
  if (entry === undefined) return store.update(keys, change);
  const { result, isChange } = await store.update([...keys, logOf(entry)], (documents) => {
    const { write, result } = change(documents.slice(0, -1));
    const isChange = write.some((one) => one !== undefined);
    return {
      write: [...write, isChange ? withEntry(documents.at(-1), entry) : undefined],
      result: { result, isChange },
    };
  });
  if (isChange) entry.kept?.();
  return result;
}

/** An update that may need an audit entry, in which case `onEntry` is called. Most do not, and skip reading the log. */
export async function auditedIfDue<T>(
  store: Store,
  onEntry: (entry: AuditEntry) => void,
  keys: readonly Key[],
  change: (documents: readonly (Json | undefined)[]) => Change<T> & Readonly<{ entry?: AuditEntry | undefined }>,
): Promise<T> {
  const done = await store.update(keys, (documents): Change<readonly [T] | undefined> => {
    const { write, result, entry } = change(documents);
    return entry === undefined ? { write, result: [result] } : { write: keys.map(() => undefined), result: undefined };
  });
  if (done) return done[0];
  const { result, entry } = await store.update([...keys, CHANGES], (documents) => {
    const { write, ...rest } = change(documents.slice(0, -1));
    return { write: [...write, rest.entry && withEntry(documents.at(-1), rest.entry)], result: rest };
  });
  if (entry) onEntry(entry);
  return result;
}

/** Writes an entry without another change. Repeats within an hour are counted, so that attempts cannot push other entries out. */
export async function noted(store: Store, entry: PendingEntry): Promise<void> {
  await store.update([logOf(entry)], ([document]) => ({ write: [withEntry(document, entry)], result: undefined }));
  entry.kept?.();
}

/** The latest entries, newest first. */
export async function lastEntries(store: Store, limit: number): Promise<readonly AuditEntry[]> {
  const documents = await Promise.all([store.read(CHANGES), store.read(SIGN_INS)]);
  return documents
    .flatMap(entriesIn)
    .toSorted((one, other) => other.at.localeCompare(one.at))
    .slice(0, limit);
}

/** Failed attempts must not push out changes, so the two are limited separately. */
const CHANGES: Key = { kind: 'audit', id: 'changes' };
const SIGN_INS: Key = { kind: 'audit', id: 'sign-ins' };
const logOf = ({ what }: AuditEntry): Key => (isSignIn(what) ? SIGN_INS : CHANGES);
const isSignIn = (what: Deed): boolean => what === 'signed-in' || what === 'sign-in-failed';

const MOST_ENTRIES = 500;
/** etcd accepts 1.5 MiB per transaction, which also contains other documents. */
const MOST_TEXT = 150_000;

function withEntry(document: Json | undefined, given: AuditEntry): Json {
  const before = entriesIn(document);
  const entry = ENTRY(given, 'an entry');
  const twin = isSignIn(entry.what) ? before.find((one) => isAgain(entry, one)) : undefined;
  const after = twin
    ? [...before.filter((one) => one !== twin), { ...entry, times: (twin.times ?? 1) + 1 }]
    : [...before, entry];
  let from = Math.max(0, after.length - MOST_ENTRIES);
  let length = JSON.stringify(after.slice(from)).length;
  for (; length > MOST_TEXT; from += 1) length -= JSON.stringify(after[from]).length + 1;
  return after.slice(from);
}

const isAgain = (entry: AuditEntry, one: AuditEntry): boolean =>
  one.what === entry.what &&
  one.who === entry.who &&
  one.from === entry.from &&
  Math.abs(Date.parse(entry.at) - Date.parse(one.at)) < HOUR;

const HOUR = 3_600_000;

/** Skips invalid entries: a damaged log must not prevent an operator from pausing a rollout. */
function entriesIn(document: Json | undefined): readonly AuditEntry[] {
  return Array.isArray(document) ? document.flatMap(entryIn) : [];
}

function entryIn(given: Json): readonly AuditEntry[] {
  try {
    return [ENTRY(given, 'an entry')];
  } catch {
    return [];
  }
}
