/** The formats of state.json, refused.json and history.jsonl. Old versions stay readable; newer ones are refused. */

import {
  type Check,
  ifSound,
  integer,
  lastOf,
  literal,
  object,
  oneOf,
  optional,
  parseDocument,
  text,
  words,
} from '../../formats/shape.ts';
import {
  type Departure,
  type Disarmed,
  type Downtime,
  FAULTS,
  type HistoryEntry,
  METHODS,
  type Outcome,
  PRODUCT_PATTERN,
  type Product,
  type Refusal,
  type Release,
  type Saved,
  SHA256_PATTERN,
  type Sha256,
  SLOT_NAMES,
  type State,
  VERSION_PATTERN,
  type Version,
} from '../../model.ts';
import type { Format } from '../../system/format.ts';

/** The most ended attempts, and the most refusals, that are kept: the newest ones. */
export const HISTORY_LIMIT = 1000;
const REFUSALS_LIMIT = 1000;
/** The history keeps the whole reason; here, shorter reasons leave room for more refusals. */
const LONGEST_REFUSAL = 400;

/** state.json. */
export const savedFormat: Format<Saved> = {
  name: 'state.json',
  write: (saved) => document(saved),
  read: (bytes) => {
    const { schema: _, ...saved } = parseDocument(bytes, MOST_READ, 'state-unreadable', 'state.json', savedShape);
    return saved;
  },
};

/** refused.json. */
export const refusalsFormat: Format<readonly Refusal[]> = {
  name: 'refused.json',
  write: (refused) => document({ refused: newest(refused, REFUSALS_LIMIT) }),
  read: (bytes) => parseDocument(bytes, MOST_READ, 'state-unreadable', 'refused.json', refusedShape).refused,
};

/** history.jsonl: unparsable lines are skipped, since a history is no reason to stop. */
export const historyFormat: Format<readonly HistoryEntry[]> = {
  name: 'history.jsonl',
  write: (entries) => newest(entries, HISTORY_LIMIT).map(lineOf).join(''),
  read: (bytes) =>
    new TextDecoder().decode(bytes.subarray(-MOST_READ)).split('\n').flatMap(entryIn).slice(-HISTORY_LIMIT),
};

const SCHEMA = 1;
/** Earlier versions wrote without a limit, so the limit for reading is higher. */
const MOST_READ = 16 * 1024 * 1024;
const MOST_WRITTEN = 1024 * 1024;

const document = (content: object): string => `${JSON.stringify({ schema: SCHEMA, ...content }, undefined, 2)}\n`;

const lineOf = (entry: HistoryEntry): string => `${JSON.stringify(entry)}\n`;

function entryIn(line: string): readonly HistoryEntry[] {
  try {
    return [historyShape(JSON.parse(line), 'history')];
  } catch {
    return [];
  }
}

/** The last entries that fit. */
function newest<T>(entries: readonly T[], most: number): readonly T[] {
  let room = MOST_WRITTEN;
  const isFull = (entry: T): boolean => {
    room -= Buffer.byteLength(JSON.stringify(entry, undefined, 6)) + ROOM_AROUND;
    return room < 0;
  };
  const first = entries.slice(-most).findLastIndex(isFull);
  return entries.slice(-most).slice(first + 1);
}

/** The comma and the blanks before an entry. */
const ROOM_AROUND = 16;

const moment = text(/^(\d{4}|[+-]\d{6})-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, 'a time in UTC');
/** A server may send anything; characters that a code cannot contain are replaced. */
const code: Check<string> = (value, path) =>
  words()(value, path)
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .slice(0, 64) || 'unknown';
const version = text<Version>(VERSION_PATTERN, 'a version');
const slot = literal(...SLOT_NAMES);
const sha256 = text<Sha256>(SHA256_PATTERN, 'a SHA-256 in hex');

const release: Check<Release> = object(
  {
    product: text<Product>(PRODUCT_PATTERN, 'a product'),
    version,
    counter: optional(integer(0)),
    manifest: optional(sha256),
  },
  'ignore',
);

const method = literal(...METHODS);

const departure: Check<Departure> = object(
  { method, reason: words(), at: moment, uptimeMs: integer(0), bootId: words() },
  'ignore',
);

const downtime: Check<Downtime> = object({ ms: integer(0), clock: literal('exact', 'wall', 'at-least') }, 'ignore');

const disarmed: Check<Disarmed> = object({ at: moment, reason: words() }, 'ignore');

const unsuccessful = object(
  {
    result: literal('rolled-back', 'failed', 'withdrawn'),
    release,
    code,
    reason: words(),
    refuse: literal(true, false),
    fault: ifSound(literal(...FAULTS)),
    departure: ifSound(departure),
  },
  'ignore',
);

const outcome: Check<Outcome> = oneOf('result', {
  none: object({ result: literal('none') }, 'ignore'),
  updated: object({ result: literal('updated'), release, departure: ifSound(departure) }, 'ignore'),
  'rolled-back': unsuccessful,
  failed: unsuccessful,
  withdrawn: unsuccessful,
});

const attempt = {
  release,
  target: slot,
  byHand: optional(literal(true)),
  tried: optional(lastOf(method, 16)),
};

const state: Check<State> = oneOf('kind', {
  settling: object({ kind: literal('settling'), outcome }, 'ignore'),
  idle: object({ kind: literal('idle') }, 'ignore'),
  staging: object(
    {
      kind: literal('staging'),
      ...attempt,
      attempt: integer(0),
      stumbled: ifSound(object({ code, reason: words() }, 'ignore')),
    },
    'ignore',
  ),
  staged: object({ kind: literal('staged'), ...attempt }, 'ignore'),
  armed: object({ kind: literal('armed'), ...attempt, bootId: words(), departure: ifSound(departure) }, 'ignore'),
  trial: object(
    {
      kind: literal('trial'),
      release,
      target: slot,
      departure: ifSound(departure),
      hindered: ifSound(object({ code, reason: words() }, 'ignore')),
    },
    'ignore',
  ),
  condemned: object(
    { kind: literal('condemned'), release, target: slot, code, reason: words(), departure: ifSound(departure) },
    'ignore',
  ),
});

// Unknown fields are ignored: after a rollback, an older agent reads what a newer one wrote. Another schema is refused.
const savedShape = object(
  {
    schema: literal(SCHEMA),
    state,
    since: moment,
    slots: object({ a: ifSound(release), b: ifSound(release) }, 'ignore'),
    disarmed: ifSound(disarmed),
  },
  'ignore',
);

const refusedShape = object(
  {
    schema: literal(SCHEMA),
    refused: lastOf(
      object({ at: moment, version, manifest: optional(sha256), code, reason: words(LONGEST_REFUSAL) }, 'ignore'),
      REFUSALS_LIMIT,
    ),
  },
  'ignore',
);

const historyShape: Check<HistoryEntry> = object(
  {
    at: moment,
    result: literal('updated', 'rolled-back', 'failed', 'withdrawn', 'disarmed'),
    version,
    code: optional(code),
    reason: optional(words()),
    fault: ifSound(literal(...FAULTS)),
    method: ifSound(method),
    methodReason: ifSound(words()),
    downtime: ifSound(downtime),
  },
  'ignore',
);
