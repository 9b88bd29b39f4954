/** Values as a schema wants them, and values that have one thing wrong. */

import fc from 'fast-check';
import type { Schema } from './openapi-answers.ts';

/** A value as a schema wants it. */
export function valueLike(schema: Schema): fc.Arbitrary<unknown> {
  const { type, properties, required = [], items, pattern, maxLength = 40, minimum = 0, maximum } = schema as Loose;
  if ('const' in schema) return fc.constant(schema['const']);
  if (schema['enum']) return fc.constantFrom(...(schema['enum'] as unknown[]));
  if (schema['oneOf']) return fc.oneof(...(schema['oneOf'] as Schema[]).map(valueLike));
  if (properties) {
    const fields = Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, valueLike(one)]));
    return fc.record(fields, { requiredKeys: required as string[] });
  }
  if (type === 'array') return fc.array(valueLike(items ?? {}), { maxLength: 3 });
  if (type === 'boolean') return fc.boolean();
  if (type === 'integer')
    return fc.oneof(
      fc.integer({ min: minimum, max: Math.min(maximum ?? 1e9, 1e9) }),
      fc.constantFrom(minimum, maximum ?? 1e9),
    );
  if (pattern?.includes('\\p{')) return lineLike(new RegExp(pattern, 'u'));
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern)).map((text) => text.slice(0, maxLength));
  return type === 'string' ? fc.string({ maxLength }) : fc.jsonValue();
}

/** Such classes of characters are not made from a pattern, but nearly every clean line has them. */
const lineLike = (pattern: RegExp): fc.Arbitrary<string> =>
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((line) => pattern.test(line));

type Loose = Readonly<{
  type?: string;
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  items?: Schema;
  pattern?: string;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
}>;

/** The same value with one thing changed, which may make it wrong. */
export const nearly = (right: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.tuple(right, fc.nat(), anyChange).map(([value, place, change]) => changed(value, place, change));

type ChangeOf = Readonly<{ what: 'remove' | 'add' | 'replace'; name: string; value: unknown }>;

const anyValue = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>(
    null,
    -1,
    1e308,
    2 ** 53,
    0.5,
    '',
    '\u0000',
    '\ud800',
    'é'.repeat(300),
    'a'.repeat(5000),
    '1',
    [],
    {},
  ),
  fc.integer({ min: 1, max: 60 }).map((depth) => JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as unknown),
);
const anyName = fc.constantFrom('other', 'schema', '__proto__', 'constructor', 'hasOwnProperty', 'toString', '');
const anyChange: fc.Arbitrary<ChangeOf> = fc.record({
  what: fc.constantFrom('remove', 'add', 'replace'),
  name: anyName,
  value: anyValue,
});

/** One place of a value changed, `place` says which. */
function changed(value: unknown, place: number, change: ChangeOf): unknown {
  const names = typeof value === 'object' && value !== null ? Object.keys(value) : [];
  const name = names[place % (names.length + 1)];
  if (change.what === 'add')
    return names.length > 0 ? { ...(value as object), [change.name]: change.value } : change.value;
  if (name === undefined) return change.value;
  const { [name]: one, ...rest } = value as Record<string, unknown>;
  if (typeof one === 'object' && one !== null && place % 2 === 1)
    return { ...rest, [name]: changed(one, Math.floor(place / 7), change) };
  return change.what === 'remove' ? rest : { ...rest, [name]: change.value };
}
