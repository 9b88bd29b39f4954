/** Checks the shape of untrusted JSON: strict, bounded, with one precise sentence for a mistake. */

import { cleanLine } from '../clean-text.ts';
import { type ErrorCode, UpdateError } from '../errors.ts';

/** JSON Schema, as OpenAPI 3.1 and Fastify read it. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Checks one value and returns it typed; throws a TypeError that names its path. `schema` is the same as JSON Schema; without one, any value. */
export type Check<T> = {
  (value: unknown, path: string): T;
  readonly schema?: JsonSchema;
};
export type Described<T> = Check<T> & Readonly<{ schema: JsonSchema }>;
export type Checked<C> = C extends Check<infer T> ? T : never;

type Fields = Readonly<Record<string, Check<unknown>>>;
type Optional<T> = Described<T | undefined> & { readonly optional: true };
type CheckedFields<S extends Fields> = Readonly<
  { [K in keyof S as S[K] extends Optional<unknown> ? never : K]: Checked<S[K]> } & {
    [K in keyof S as S[K] extends Optional<unknown> ? K : never]?: Exclude<Checked<S[K]>, undefined>;
  }
>;

/** Parses UTF-8 JSON of at most `limit` bytes and checks it; throws an UpdateError of the given code. */
export function parseDocument<T>(bytes: Uint8Array, limit: number, code: ErrorCode, name: string, check: Check<T>): T {
  if (bytes.length > limit)
    throw new UpdateError(code, `${name} has ${bytes.length} bytes; at most ${limit} are read.`);
  try {
    return check(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)), name);
  } catch (error) {
    throw new UpdateError(code, error instanceof Error ? `${name}: ${error.message}` : name, { cause: error });
  }
}

/** An object with exactly these fields; `unknown: 'ignore'` drops others, so that later versions can add some. */
export const object = <S extends Fields>(
  fields: S,
  unknown: 'refuse' | 'ignore' = 'refuse',
): Described<CheckedFields<S>> =>
  described(objectSchema(fields), (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail(path, 'an object');
    const given = new Map(Object.entries(value));
    if (unknown === 'refuse')
      for (const key of given.keys()) if (!Object.hasOwn(fields, key)) fail(`${path}.${key}`, 'absent');
    const entries = Object.entries(fields).map(
      ([key, check]) => [key, check(given.get(key), `${path}.${key}`)] as const,
    );
    return Object.fromEntries(entries.filter(([, field]) => field !== undefined)) as CheckedFields<S>;
  });

function objectSchema(fields: Fields): JsonSchema {
  const entries = Object.entries(fields);
  return {
    type: 'object',
    properties: Object.fromEntries(entries.map(([key, { schema = {} }]) => [key, schema])),
    required: entries.filter(([, check]) => !('optional' in check)).map(([key]) => key),
    additionalProperties: false,
  };
}

/** One of several objects, selected by the value of `field`. */
export const oneOf = <S extends Fields>(field: string, shapes: S): Described<Checked<S[keyof S]>> =>
  described({ oneOf: [...new Set(Object.values(shapes))].map(({ schema = {} }) => schema) }, (value, path) => {
    const kind: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, field) : undefined;
    const shape = isWord(kind) && Object.hasOwn(shapes, String(kind)) ? shapes[String(kind)] : undefined;
    if (!shape) return fail(`${path}.${field}`, `one of ${Object.keys(shapes).join(', ')}`);
    return shape(value, path) as Checked<S[keyof S]>;
  });

const isWord = (value: unknown): boolean => typeof value === 'string' || typeof value === 'boolean';

/** A list of at most `limit` items. The limit protects this reader and is not part of the format, so the schema omits it. */
export const list = <T>(item: Check<T>, limit: number): Described<readonly T[]> =>
  described({ type: 'array', items: item.schema ?? {} }, (value, path) => {
    if (!Array.isArray(value) || value.length > limit) return fail(path, `a list of at most ${limit}`);
    return value.map((entry, index) => item(entry, `${path}[${index}]`));
  });

/** A list of any length, cut to its last `limit` items. */
export const lastOf = <T>(item: Check<T>, limit: number): Described<readonly T[]> => {
  const short = list(item, limit);
  return described(short.schema, (value, path) => short(Array.isArray(value) ? value.slice(-limit) : value, path));
};

/** An object used as a table: keys that match `key`, and one check for all values. */
export const record = <T>(key: RegExp, value: Check<T>, limit: number): Described<ReadonlyMap<string, T>> =>
  described({ type: 'object', additionalProperties: value.schema ?? {} }, (given, path) => {
    if (typeof given !== 'object' || given === null || Array.isArray(given)) return fail(path, 'an object');
    const entries = Object.entries(given);
    if (entries.length > limit) fail(path, `an object with at most ${limit} entries`);
    for (const [name] of entries) if (!key.test(name)) fail(`${path}[${JSON.stringify(name)}]`, 'absent');
    return new Map(entries.map(([name, entry]) => [name, value(entry, `${path}[${JSON.stringify(name)}]`)]));
  });

/** Text that matches `pattern`; `what` names it in the error. */
export const text = <T extends string = string>(pattern: RegExp, what = `text like ${pattern.source}`): Described<T> =>
  described({ type: 'string', pattern: pattern.source }, (value, path) =>
    typeof value === 'string' && pattern.test(value) ? (value as T) : fail(path, what),
  );

/** A line for people: any text, cleaned and cut to `limit`, because a long sentence must not invalidate the document. */
export const words = (limit?: number): Described<string> =>
  described({ type: 'string' }, (value, path) =>
    typeof value === 'string' ? cleanLine(value, limit) : fail(path, 'text'),
  );

/** Text of at most `most` characters. */
export const upTo = <T extends string>(most: number, check: Described<T>): Described<T> =>
  described({ type: 'string', maxLength: most, ...check.schema }, (value, path) =>
    typeof value === 'string' && value.length > most && [...value].length > most
      ? fail(path, `text of at most ${most} characters`)
      : check(value, path),
  );

/** Text that is not empty. */
export const filled = <T extends string>(check: Described<T>): Described<T> =>
  described({ minLength: 1, ...check.schema }, (value, path) =>
    value === '' ? fail(path, 'text that is not empty') : check(value, path),
  );

/** A safe integer from `min` to `max`, both included. */
export const integer = (min: number, max: number = Number.MAX_SAFE_INTEGER): Described<number> =>
  described({ type: 'integer', minimum: min, maximum: max }, (value, path) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
      ? value
      : fail(path, `a whole number from ${min} to ${max}`),
  );

export const literal = <const T extends readonly (string | number | boolean)[]>(...allowed: T): Described<T[number]> =>
  described(
    literalSchema(allowed),
    (value, path) =>
      allowed.find((one) => one === value) ?? fail(path, allowed.map((one) => JSON.stringify(one)).join(' or ')),
  );

function literalSchema(allowed: readonly (string | number | boolean)[]): JsonSchema {
  const [first] = allowed;
  if (typeof first === 'string') return { type: 'string', enum: allowed };
  return allowed.length === 1 ? { const: first } : { enum: allowed };
}

export const flag: Described<boolean> = described({ type: 'boolean' }, (value, path) =>
  typeof value === 'boolean' ? value : fail(path, 'true or false'),
);

export const optional = <T>(check: Check<T>): Optional<T> =>
  absentOr(check, (value, path) => (value === undefined ? undefined : check(value, path)));

/** Optional, and treated as absent if invalid. */
export const ifSound = <T>(check: Check<T>): Optional<T> =>
  absentOr(check, (value, path) => {
    try {
      return check(value, path);
    } catch {
      return undefined;
    }
  });

/** Optional, with a default. */
export const byDefault = <T>(fallback: T, check: Described<T>): Optional<T> =>
  Object.assign(
    described({ ...check.schema, default: fallback }, (value, path) =>
      value === undefined ? fallback : check(value, path),
    ),
    { optional: true as const },
  );

const absentOr = <T>({ schema = {} }: Check<T>, check: (value: unknown, path: string) => T | undefined): Optional<T> =>
  Object.assign(described(schema, check), { optional: true as const });

/** The check with a description for the schema. */
export const saying = <T>(description: string, check: Described<T>): Described<T> =>
  described({ ...check.schema, description }, (value, path) => check(value, path));

/** The check with a name in the OpenAPI components. */
export const named = <T>(title: string, check: Described<T>): Described<T> =>
  described({ title, ...check.schema }, (value, path) => check(value, path));

function described<T>(schema: JsonSchema, check: (value: unknown, path: string) => T): Described<T> {
  return Object.assign(check, { schema });
}

function fail(path: string, wanted: string): never {
  throw new TypeError(`${path} must be ${wanted}`);
}
