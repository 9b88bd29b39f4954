/** Requests made from the description of an interface: as it wants them, nearly so, and not at all. */

import fc from 'fast-check';
import { nearly, valueLike } from './fuzzed-values.ts';
import type { Operation } from './openapi-answers.ts';

/** `body` is what is sent; `path` and `headers` are ready for the wire. */
export type FuzzedRequest = Readonly<{
  operation: Operation;
  method: string;
  path: string;
  headers: Readonly<Record<string, string>>;
  body: Buffer | undefined;
  /** Everything but the token is as described. */
  isAsDescribed: boolean;
  /** What the body says, where it is JSON of the right type to an address that is right; `fault` when it is not as described. */
  given?: unknown;
}>;

/** `paths`: names of files that there are. `headers`: what may be sent besides, hostile or not. */
export type Surroundings = Readonly<{ paths: readonly string[]; headers: fc.Arbitrary<Record<string, string>> }>;

export function requestTo(operation: Operation, around: Surroundings): fc.Arbitrary<FuzzedRequest> {
  return fc.oneof(
    { weight: 3, arbitrary: described(operation, around) },
    { weight: 3, arbitrary: nearlyDescribed(operation, around) },
    { weight: 2, arbitrary: hostile(operation, around) },
  );
}

function described(operation: Operation, around: Surroundings): fc.Arbitrary<FuzzedRequest> {
  return fc
    .tuple(addressOf(operation, around, true), bodyOf(operation, true), typeOf(operation))
    .map(([path, given, type]) => ({ ...plainly(operation, path, given, type), isAsDescribed: true }));
}

function nearlyDescribed(operation: Operation, around: Surroundings): fc.Arbitrary<FuzzedRequest> {
  return fc
    .tuple(addressOf(operation, around, true), bodyOf(operation, false), typeOf(operation), around.headers)
    .map(([path, given, type, headers]) => {
      const request = plainly(operation, path, given, type);
      return { ...request, headers: { ...headers, ...request.headers }, isAsDescribed: false, given };
    });
}

function hostile(operation: Operation, around: Surroundings): fc.Arbitrary<FuzzedRequest> {
  return fc
    .tuple(addressOf(operation, around, false), fc.option(anyBytes), anyType, around.headers, anyMethod(operation))
    .map(([path, body, type, headers, method]) => ({
      operation,
      method,
      path,
      headers: { ...headers, ...(type === undefined ? {} : { 'content-type': type }) },
      body: body ?? undefined,
      isAsDescribed: false,
    }));
}

function plainly(operation: Operation, path: string, given: unknown, type: string | undefined) {
  const { method } = operation;
  if (type === undefined) return { operation, method, path, headers: {}, body: undefined };
  const fields = Object.entries((given ?? {}) as object).map(([name, one]) => [
    name,
    typeof one === 'string' ? one : JSON.stringify(one),
  ]);
  const text = type.startsWith('application/json') ? JSON.stringify(given) : String(new URLSearchParams(fields));
  return { operation, method, path, headers: { 'content-type': type }, body: Buffer.from(text) };
}

/** The type of the body; undefined where there is none. */
function typeOf({ requestBody }: Operation): fc.Arbitrary<string | undefined> {
  const [type] = Object.keys(requestBody?.content ?? {});
  return type === undefined ? fc.constant(undefined) : fc.constantFrom(type, `${type}; charset=utf-8`);
}

function bodyOf({ requestBody }: Operation, isRight: boolean): fc.Arbitrary<unknown> {
  const [content] = Object.values(requestBody?.content ?? {});
  if (!content) return fc.constant(undefined);
  const right = valueLike(content.schema);
  return isRight ? right : nearly(right);
}

const HOSTILE_SEGMENTS = [
  '..',
  '.',
  '%2e%2e',
  '%2f',
  '..%2f..%2fetc%2fpasswd',
  '%00',
  '%ff',
  '%',
  '%u0041',
  ';',
  '//',
  '\\..\\',
  '*',
  ':id',
];
const hostileSegment = fc.oneof(
  fc.constantFrom(...HOSTILE_SEGMENTS, '__proto__', 'constructor', 'a'.repeat(101), 'a'.repeat(5000), '\u00ff\u00fe'),
  fc.string({ unit: 'binary', maxLength: 60 }).map((text) => encodeURIComponent(text.toWellFormed())),
);

function addressOf({ path, parameters }: Operation, { paths }: Surroundings, isRight: boolean): fc.Arbitrary<string> {
  const segments = path
    .split('/')
    .slice(1)
    .map((segment) => {
      const name = /^\{(\w+)\}$/.exec(segment)?.[1];
      if (name === undefined)
        return isRight
          ? fc.constant(segment)
          : fc.oneof({ weight: 8, arbitrary: fc.constant(segment) }, { weight: 1, arbitrary: hostileSegment });
      const schema = parameters.find((one) => one.name === name)?.schema ?? {};
      const right =
        name === 'path'
          ? fc.constantFrom(...paths)
          : valueLike(schema).map((value) => encodeURIComponent(String(value)));
      return isRight
        ? right
        : fc.oneof(
            right,
            hostileSegment,
            fc.array(hostileSegment, { maxLength: 4 }).map((all) => all.join('/')),
          );
    });
  const query = parameters
    .filter((one) => one.in === 'query')
    .map(({ name, schema }) => {
      const right = valueLike(schema).map((value) => `${name}=${encodeURIComponent(String(value))}`);
      const wrong = hostileSegment.map((value) => `${name}=${value}`);
      return fc.option(
        isRight
          ? right
          : fc.oneof(
              right,
              wrong,
              fc.tuple(right, wrong).map((both) => both.join('&')),
            ),
      );
    });
  return fc.tuple(fc.tuple(...segments), fc.tuple(...query)).map(([all, given]) => {
    const asked = given.filter((one) => one !== null).join('&');
    return wired(`/${all.join('/')}${asked === '' ? '' : `?${asked}`}`);
  });
}

/** Bytes of an address that HTTP can carry at all. */
const wired = (path: string): string => path.replace(/[^\x21-\xff]/g, '');

const anyBytes: fc.Arbitrary<Buffer> = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value))),
  fc.constantFrom(
    Buffer.alloc(0),
    Buffer.from('\ufeff{}'),
    Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d]),
    Buffer.from('{"schema":1,"schema":1}'),
    Buffer.from('{"__proto__":{"go":true}}'),
    Buffer.from('{"constructor":{"prototype":{"go":true}}}'),
    Buffer.from('{"client_params":{"__proto__":null}}'),
    Buffer.from('1e999'),
    Buffer.from('form=%ff&reason=%00&token=%'),
    Buffer.from('['.repeat(7000)),
    Buffer.from(`${'{"a":'.repeat(2500)}1${'}'.repeat(2500)}`),
    Buffer.alloc(70_000, 0x20),
  ),
);

const anyType = fc.constantFrom(
  undefined,
  'application/json',
  'application/json; charset=utf-16',
  'application/json;',
  'application/x-www-form-urlencoded',
  'text/plain',
  'multipart/form-data; boundary=',
  'application/',
  ';;;',
  '\u00ff',
);

const anyMethod = ({ method }: Operation): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant(method) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        'GET',
        'HEAD',
        'POST',
        'PUT',
        'DELETE',
        'PATCH',
        'OPTIONS',
        'TRACE',
        'PROPFIND',
        'QUERY',
      ),
    },
  );
