/** The OpenAPI 3.1 description of the server's interface, generated from the routes, so that no route is left out. */

import type { FastifyInstance, RouteOptions } from 'fastify';
import type { Described, JsonSchema } from '../../formats/shape.ts';
import { type Answer, json, page, REFUSAL, withHeaders } from './answers.ts';

declare module 'fastify' {
  interface FastifySchema {
    summary?: string;
    description?: string;
    tags?: readonly string[];
    security?: readonly JsonSchema[];
    /** The shape of refusals, if not the common one; `refusedAs` if they are pages. */
    refusal?: Described<unknown>;
    refusedAs?: 'page';
    /** The media type of the body, if not JSON. */
    consumes?: string;
  }
}

/** The default limit of a request body, in bytes. */
export const MOST_BYTES = 64 * 1024;

/** The methods of a route, and the shape of its refusals if not the common one. */
export type Way = Readonly<{ methods: readonly string[]; refusal: Described<unknown> | undefined }>;

export type Interface = Readonly<{
  document(): JsonSchema;
  /** The routes that match a path, whatever their method. */
  routesAt(path: string): readonly Way[];
}>;

/** Collects every route added after this call, and adds the route that serves the description. */
export function describeRoutes(app: FastifyInstance): Interface {
  const routes: RouteOptions[] = [];
  app.addHook('onRoute', (route) => {
    routes.push(route);
  });
  // Built once, on first use: by then all routes have been added.
  const document = once(() => documentOf(routes));
  const patterns = once(() => routes.map((route) => ({ pattern: patternOf(route.url), way: wayOf(route) })));
  app.get('/openapi.json', { schema: OWN }, async () => document());
  return {
    document,
    routesAt: (path) => patterns().flatMap(({ pattern, way }) => (pattern.test(path) ? [way] : [])),
  };
}

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

const OWN = {
  summary: 'This description',
  tags: ['server'],
  response: { 200: json('OpenAPI 3.1', { schema: { type: 'object' } }) },
};

const patternOf = (url: string): RegExp =>
  new RegExp(`^${url.replace(/[.]/g, '\\.').replace('*', '.*').replace(/:\w+/g, '[^/]*')}$`);

const wayOf = (route: RouteOptions): Way => ({ methods: methodsOf(route), refusal: route.schema?.refusal });

const methodsOf = ({ method }: RouteOptions): readonly string[] => [method].flat();

function documentOf(routes: readonly RouteOptions[]): JsonSchema {
  const components: Record<string, unknown> = {};
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes)
    for (const method of methodsOf(route)) {
      const path = route.url.replace(/:(\w+)/g, '{$1}').replace('*', '{path}');
      paths[path] = { ...paths[path], [method.toLowerCase()]: hoisted(operationOf(route, method), components) };
    }
  return {
    openapi: '3.1.0',
    info: INFO,
    tags: TAGS,
    paths,
    components: { schemas: components, securitySchemes: KEYS },
  };
}

function operationOf({ schema = {}, url, bodyLimit = MOST_BYTES }: RouteOptions, method: string): JsonSchema {
  const { summary, description, tags, security = [], params, querystring, headers, body } = schema;
  const type = schema.consumes ?? 'application/json';
  const refused = (text: string) =>
    schema.refusedAs ? alsoJson(page(text), REFUSAL.schema) : json(text, schema.refusal ?? REFUSAL);
  const isRead = params !== undefined || querystring !== undefined || body !== undefined;
  return {
    summary,
    ...(description === undefined ? {} : { description }),
    operationId: `${method.toLowerCase()}${url.replace(/[^A-Za-z0-9]+(\w?)/g, (_, first: string) => first.toUpperCase())}`,
    tags,
    security,
    parameters: [
      ...parametersOf(params as JsonSchema, 'path'),
      ...parametersOf(querystring as JsonSchema, 'query'),
      ...parametersOf(headers as JsonSchema, 'header'),
    ],
    ...(body === undefined ? {} : { requestBody: { required: true, content: { [type]: { schema: body } } } }),
    responses: {
      ...(isRead ? { 400: refused('Invalid request; the message says why') } : {}),
      ...(security.length > 0 && !schema.refusedAs
        ? { 401: refused('Token missing or wrong'), 403: refused('The token’s role does not permit this') }
        : {}),
      ...(body === undefined
        ? {}
        : {
            413: refused(`Body larger than ${bodyLimit} bytes`),
            415: refused('Unsupported media type'),
          }),
      ...(schema.response as Record<string, Answer>),
      default: alsoJson(
        withHeaders(refused('Any other failure; retry after 429 and 503'), LATER),
        schema.refusal ? { oneOf: [schema.refusal.schema, REFUSAL.schema] } : REFUSAL.schema,
      ),
    },
  };
}

const LATER = { 'retry-after': 'seconds until a retry, if known' };

/** Failures before routing use the common shape, whatever the route's own. */
const alsoJson = (answer: Answer, schema: JsonSchema): Answer => ({
  ...answer,
  content: { ...answer.content, 'application/json': { schema } },
});

function parametersOf(shape: JsonSchema | undefined, place: 'path' | 'query' | 'header'): readonly JsonSchema[] {
  const { properties = {}, required = [] } = (shape ?? {}) as Readonly<{
    properties?: Readonly<Record<string, JsonSchema>>;
    required?: readonly string[];
  }>;
  return Object.entries(properties).map(([key, schema]) => ({
    name: key === '*' ? 'path' : key,
    in: place,
    required: place === 'path' || required.includes(key),
    schema,
  }));
}

/** Moves schemas with a title to the components. Drops `additionalProperties: false`, since both sides ignore unknown fields. */
function hoisted(value: unknown, components: Record<string, unknown>): unknown {
  if (Array.isArray(value)) return value.map((one) => hoisted(one, components));
  if (typeof value !== 'object' || value === null) return value;
  const { title, ...rest } = value as JsonSchema;
  const isOpen = ([key, one]: readonly [string, unknown]) => key !== 'additionalProperties' || one !== false;
  const walked = Object.fromEntries(
    Object.entries(typeof title === 'string' ? rest : value)
      .filter(isOpen)
      .map(([key, one]) => [key, hoisted(one, components)]),
  );
  if (typeof title !== 'string') return walked;
  components[title] = walked;
  return { $ref: `#/components/schemas/${title}` };
}

const INFO = {
  title: 'Tandem fleet server',
  version: '1',
  description:
    'The interface of `updatectl server` for hosts and operators. docs/protocol.md describes when hosts send which request. Both sides ignore fields that are not described here.',
  license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
};

const TAGS = [
  { name: 'repository', description: 'The signed files, as any static web server would serve them.' },
  { name: 'hosts', description: 'Requests of the agents on hosts.' },
  { name: 'operators', description: 'Requests of operators.' },
  { name: 'dashboard', description: 'Pages for browsers.' },
  { name: 'server', description: 'The server itself.' },
];

const KEYS = {
  machine: {
    type: 'http',
    scheme: 'bearer',
    description: 'The machines’ token; also accepted as the password of Basic authentication.',
  },
  viewer: { type: 'http', scheme: 'bearer', description: 'A viewer’s or operator’s token.' },
  operator: { type: 'http', scheme: 'bearer', description: 'An operator’s token.' },
  session: {
    type: 'apiKey',
    in: 'cookie',
    name: 'tandem',
    description: 'The session cookie set by signing in to the dashboard.',
  },
};
