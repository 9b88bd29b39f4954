/** Holds real answers to the description of the server's interface. */

import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';

export type Schema = Readonly<{ [key: string]: unknown }>;
export type Operation = Readonly<{
  method: string;
  path: string;
  parameters: readonly Readonly<{ name: string; in: 'path' | 'query'; required: boolean; schema: Schema }>[];
  requestBody?: Readonly<{ content: Readonly<Record<string, Readonly<{ schema: Schema }>>> }>;
  responses: Readonly<Record<string, Readonly<{ content?: Readonly<Record<string, Readonly<{ schema: Schema }>>> }>>>;
  security: readonly Schema[];
}>;
export type Answered = Readonly<{ status: number; type: string; body: string }>;

/** `faultOf` says what about an answer is not as described; undefined when nothing is. */
export type Description = Readonly<{
  operations: readonly Operation[];
  /** The operation that an address is about. */
  operationAt(method: string, url: string): Operation | undefined;
  faultOf(operation: Operation, answer: Answered): string | undefined;
  /** Whether a value is as a schema says; fields that it does not name are a fault only when it is `strict`. */
  isLike(schema: Schema, value: unknown, strict?: boolean): boolean;
}>;

type Document = Readonly<{
  paths: Readonly<Record<string, Readonly<Record<string, Omit<Operation, 'method' | 'path'>>>>>;
  components: Readonly<{ schemas: Readonly<Record<string, Schema>> }>;
}>;

export async function readDescription(app: FastifyInstance): Promise<Description> {
  const { paths, components } = (await app.inject('/openapi.json')).json() as Document;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, rest]) =>
      resolved({ method: method.toUpperCase(), path, ...rest }, components),
    ),
  ) as readonly Operation[];
  const validate = await schemaValidator();
  const isLike = (schema: Schema, value: unknown, strict = false) => validate(strict ? closed(schema) : schema, value);
  return {
    operations,
    operationAt: (method, url) =>
      operations.find((one) => one.method === method && addressPattern(one.path).test(url.replace(/\?.*/s, ''))),
    faultOf: ({ method, responses }, { status, type, body }) => {
      const described = responses[status] ?? responses['default'];
      if (!described) return `${status} is not described`;
      const kind = type.replace(/;.*/s, '');
      const content = described.content?.[kind];
      if (!content)
        return body === '' || described.content === undefined ? undefined : `${status} is ${kind || 'bare'}`;
      if (kind !== 'application/json' || method === 'HEAD') return undefined;
      return isLike(content.schema, JSON.parse(body), true) ? undefined : `${status} says ${body.slice(0, 300)}`;
    },
    isLike,
  };
}

const addressPattern = (path: string): RegExp =>
  new RegExp(
    `^${path
      .replace(/[.]/g, '\\.')
      .replace('{path}', '.*')
      .replace(/\{\w+\}/g, '[^/]*')}$`,
  );

/** Without references: each is what it leads to. */
function resolved(value: unknown, components: Document['components']): unknown {
  if (Array.isArray(value)) return value.map((one) => resolved(one, components));
  if (typeof value !== 'object' || value === null) return value;
  const { $ref } = value as Schema;
  if (typeof $ref === 'string') return resolved(components.schemas[$ref.replace(/.*\//, '')], components);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, resolved(one, components)]));
}

/** What is named is all there may be. */
function closed(value: unknown): Schema {
  if (Array.isArray(value)) return value.map(closed) as unknown as Schema;
  if (typeof value !== 'object' || value === null) return value as unknown as Schema;
  const inner = Object.fromEntries(Object.entries(value).map(([key, one]) => [key, closed(one)]));
  return 'properties' in inner ? { ...inner, additionalProperties: false } : inner;
}

/** The web framework's own validator, told to change nothing. */
async function schemaValidator(): Promise<(schema: Schema, value: unknown) => boolean> {
  const app = Fastify({ ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false } } });
  let request: FastifyRequest | undefined;
  app.get('/', async (one) => {
    request = one;
    return {};
  });
  await app.inject('/');
  const known = new Map<string, (value: unknown) => boolean>();
  return (schema, value) => {
    const key = JSON.stringify(schema);
    const check = known.get(key) ?? (request?.compileValidationSchema(schema) as (value: unknown) => boolean);
    known.set(key, check);
    return check(value);
  };
}
