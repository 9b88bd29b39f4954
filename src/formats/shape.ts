/** Checks the shape of JSON that came from outside: strict, bounded, one precise sentence for what is wrong. */

import { cleanLine } from '../clean-text.ts';
import { type ErrorCode, UpdateError } from '../errors.ts';

/** Reads one field; throws when the value is not what it should be. */
export type Check<T> = (value: unknown, path: string) => T;

type Shape = Readonly<Record<string, Check<unknown>>>;
type Optional<T> = Check<T | undefined> & { readonly optional: true };
type Checked<S extends Shape> = Readonly<
  { [K in keyof S as S[K] extends Optional<unknown> ? never : K]: S[K] extends Check<infer T> ? T : never } & {
    [K in keyof S as S[K] extends Optional<unknown> ? K : never]?: S[K] extends Check<infer T>
      ? Exclude<T, undefined>
      : never;
  }
>;

/** Parses UTF-8 JSON of at most `limit` bytes and checks it; every fault becomes an UpdateError of the given code. */
export function parseDocument<T>(bytes: Uint8Array, limit: number, code: ErrorCode, name: string, check: Check<T>): T {
  if (bytes.length > limit)
    throw new UpdateError(code, `${name} has ${bytes.length} bytes; at most ${limit} are read.`);
  try {
    return check(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)), name);
  } catch (error) {
    throw new UpdateError(code, error instanceof Error ? `${name}: ${error.message}` : name, { cause: error });
  }
}

/** An object with exactly these fields (`unknown: 'ignore'` lets later versions add some). */
export const object =
  <S extends Shape>(shape: S, unknown: 'refuse' | 'ignore' = 'refuse'): Check<Checked<S>> =>
  (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail(path, 'an object');
    const given = new Map(Object.entries(value));
    if (unknown === 'refuse')
      for (const key of given.keys()) if (!Object.hasOwn(shape, key)) fail(`${path}.${key}`, 'absent');
    const entries = Object.entries(shape).map(
      ([key, check]) => [key, check(given.get(key), `${path}.${key}`)] as const,
    );
    return Object.fromEntries(entries.filter(([, field]) => field !== undefined)) as Checked<S>;
  };

export const list =
  <T>(item: Check<T>, limit: number): Check<readonly T[]> =>
  (value, path) => {
    if (!Array.isArray(value) || value.length > limit) return fail(path, `a list of at most ${limit}`);
    return value.map((entry, index) => item(entry, `${path}[${index}]`));
  };

/** A list of which the last `limit` count. */
export const lastOf =
  <T>(item: Check<T>, limit: number): Check<readonly T[]> =>
  (value, path) =>
    list(item, limit)(Array.isArray(value) ? value.slice(-limit) : value, path);

/** An object used as a table: any keys that match the pattern, one check for every value. */
export const record =
  <T>(key: RegExp, value: Check<T>, limit: number): Check<ReadonlyMap<string, T>> =>
  (given, path) => {
    if (typeof given !== 'object' || given === null || Array.isArray(given)) return fail(path, 'an object');
    const entries = Object.entries(given);
    if (entries.length > limit) fail(path, `an object with at most ${limit} entries`);
    for (const [name] of entries) if (!key.test(name)) fail(`${path}[${JSON.stringify(name)}]`, 'absent');
    return new Map(entries.map(([name, entry]) => [name, value(entry, `${path}[${JSON.stringify(name)}]`)]));
  };

/** Text that matches a pattern; `brand` is the type it then has. */
export const text =
  <T extends string = string>(pattern: RegExp, what = `text like ${pattern.source}`): Check<T> =>
  (value, path) =>
    typeof value === 'string' && pattern.test(value) ? (value as T) : fail(path, what);

/** A line for people. Any text is one: cleaned and cut to `limit`, since nothing is to be lost for being said at length. */
export const words =
  (limit?: number): Check<string> =>
  (value, path) =>
    typeof value === 'string' ? cleanLine(value, limit) : fail(path, 'text');

/** A safe integer within bounds, both included. */
export const integer =
  (min: number, max: number = Number.MAX_SAFE_INTEGER): Check<number> =>
  (value, path) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
      ? value
      : fail(path, `a whole number from ${min} to ${max}`);

export const literal =
  <const T extends readonly (string | number | boolean)[]>(...allowed: T): Check<T[number]> =>
  (value, path) =>
    allowed.find((one) => one === value) ?? fail(path, allowed.map((one) => JSON.stringify(one)).join(' or '));

export const optional = <T>(check: Check<T>): Optional<T> =>
  Object.assign((value: unknown, path: string) => (value === undefined ? undefined : check(value, path)), {
    optional: true as const,
  });

/** What a document can do without: absent where it is not what it should be. */
export const ifSound = <T>(check: Check<T>): Optional<T> => {
  const sound = (value: unknown, path: string): T | undefined => {
    try {
      return check(value, path);
    } catch {
      return undefined;
    }
  };
  return Object.assign(sound, { optional: true as const });
};

function fail(path: string, wanted: string): never {
  throw new TypeError(`${path} must be ${wanted}`);
}
