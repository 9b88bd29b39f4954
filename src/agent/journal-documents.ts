/** The formats of state.json, refused.json and history.jsonl. Old ones stay readable; newer ones are refused whole. */

import {
  type Departure,
  type Disarmed,
  type Downtime,
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
} from '../model.ts';
import { type Check, integer, list, literal, object, optional, parseDocument, text } from '../system/shape.ts';

const LIMIT = 1024 * 1024;
const SCHEMA = 1;

export const serializeSaved = (saved: Saved): string =>
  `${JSON.stringify({ schema: SCHEMA, ...saved }, undefined, 2)}\n`;

export const parseSaved = (bytes: Uint8Array): Saved => {
  const { schema: _, ...saved } = parseDocument(bytes, LIMIT, 'state-unreadable', 'state.json', savedShape);
  return saved;
};

export const serializeRefusals = (refused: readonly Refusal[]): string =>
  `${JSON.stringify({ schema: SCHEMA, refused }, undefined, 2)}\n`;

export const parseRefusals = (bytes: Uint8Array): readonly Refusal[] =>
  parseDocument(bytes, LIMIT, 'state-unreadable', 'refused.json', refusedShape).refused;

/** Lines that cannot be understood are left out: a history is no reason to stop. */
export function parseHistory(bytes: Uint8Array): readonly HistoryEntry[] {
  const lines = new TextDecoder().decode(bytes.subarray(0, LIMIT)).split('\n');
  return lines.flatMap((line) => {
    try {
      return [historyShape(JSON.parse(line), 'history')];
    } catch {
      return [];
    }
  });
}

const words = text(/^[^\0]{0,4000}$/s);
const moment = text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, 'a time in UTC');
const code = text(/^[a-z0-9-]{1,64}$/);
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
  { method, reason: words, at: moment, uptimeMs: integer(0), bootId: words },
  'ignore',
);

const downtime: Check<Downtime> = object({ ms: integer(0), clock: literal('exact', 'wall', 'at-least') }, 'ignore');

const disarmed: Check<Disarmed> = object({ at: moment, reason: words }, 'ignore');

const unsuccessful = object(
  {
    result: literal('rolled-back', 'failed', 'withdrawn'),
    release,
    code,
    reason: words,
    refuse: literal(true, false),
    departure: optional(departure),
  },
  'ignore',
);

const outcome = oneOf<Outcome>('result', {
  none: object({ result: literal('none') }, 'ignore'),
  updated: object({ result: literal('updated'), release, departure: optional(departure) }, 'ignore'),
  'rolled-back': unsuccessful,
  failed: unsuccessful,
  withdrawn: unsuccessful,
});

const state = oneOf<State>('kind', {
  settling: object({ kind: literal('settling'), outcome }, 'ignore'),
  idle: object({ kind: literal('idle') }, 'ignore'),
  staging: object({ kind: literal('staging'), release, target: slot, attempt: integer(0) }, 'ignore'),
  staged: object({ kind: literal('staged'), release, target: slot }, 'ignore'),
  armed: object(
    {
      kind: literal('armed'),
      release,
      target: slot,
      bootId: words,
      departure: optional(departure),
      tried: optional(list(method, 16)),
    },
    'ignore',
  ),
  trial: object({ kind: literal('trial'), release, target: slot, departure: optional(departure) }, 'ignore'),
  condemned: object(
    { kind: literal('condemned'), release, target: slot, code, reason: words, departure: optional(departure) },
    'ignore',
  ),
});

// Unknown fields are ignored: after a rollback an older agent reads what a newer one wrote. Another schema is not.
const savedShape = object(
  {
    schema: literal(SCHEMA),
    state,
    since: moment,
    slots: object({ a: optional(release), b: optional(release) }, 'ignore'),
    disarmed: optional(disarmed),
  },
  'ignore',
);

const refusedShape = object(
  {
    schema: literal(SCHEMA),
    refused: list(object({ at: moment, version, manifest: optional(sha256), code, reason: words }, 'ignore'), 10_000),
  },
  'ignore',
);

const historyShape: Check<HistoryEntry> = object(
  {
    at: moment,
    result: literal('updated', 'rolled-back', 'failed', 'withdrawn', 'disarmed'),
    version,
    code: optional(code),
    reason: optional(words),
    method: optional(method),
    methodReason: optional(words),
    downtime: optional(downtime),
  },
  'ignore',
);

/** Chooses the shape by the value of one field. */
function oneOf<T>(field: string, shapes: Readonly<Record<string, Check<T>>>): Check<T> {
  return (value, path) => {
    const kind = typeof value === 'object' && value !== null ? Reflect.get(value, field) : undefined;
    const shape = typeof kind === 'string' && Object.hasOwn(shapes, kind) ? shapes[kind] : undefined;
    if (!shape) throw new TypeError(`${path}.${field} must be one of ${Object.keys(shapes).join(', ')}`);
    return shape(value, path);
  };
}
