/** The description of the server's interface (OpenAPI 3.1), collected from the routes themselves: what is not described cannot be there. */

import type { FastifyInstance, RouteOptions } from 'fastify';
import { type Answer, json, page, REFUSAL, withHeaders } from './answers.ts';
import type { Shape } from './shapes.ts';

declare module 'fastify' {
  interface FastifySchema {
    summary?: string;
    description?: string;
    tags?: readonly string[];
    security?: readonly Shape[];
    /** How refusals look, where they are not ours: of another shape, or pages. */
    refusal?: Shape;
    refusedAs?: 'page';
    /** What the body is, where it is not JSON. */
    consumes?: string;
  }
}

/** The largest body that a route reads which does not say otherwise. */
export const MOST_BYTES = 64 * 1024;

/** The methods of a route, and how it refuses where it does so in words of its own. */
export type Way = Readonly<{ methods: readonly string[]; refusal: Shape | undefined }>;

export type Interface = Readonly<{
  document(): Shape;
  /** What a path is asked with; empty where there is nothing. */
  routesAt(path: string): readonly Way[];
}>;

/** Every route that is added from now on, and one that gives the description away. */
export function describeRoutes(app: FastifyInstance): Interface {
  const routes: RouteOptions[] = [];
  app.addHook('onRoute', (route) => {
    routes.push(route);
  });
  // Both are asked by anybody, and do not change once all routes are there.
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
  response: { 200: json('OpenAPI 3.1', { type: 'object' }) },
};

const patternOf = (url: string): RegExp =>
  new RegExp(`^${url.replace(/[.]/g, '\\.').replace('*', '.*').replace(/:\w+/g, '[^/]*')}$`);

const wayOf = (route: RouteOptions): Way => ({ methods: methodsOf(route), refusal: route.schema?.refusal });

const methodsOf = ({ method }: RouteOptions): readonly string[] => [method].flat();

function documentOf(routes: readonly RouteOptions[]): Shape {
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

function operationOf({ schema = {}, url, bodyLimit = MOST_BYTES }: RouteOptions, method: string): Shape {
  const { summary, description, tags, security = [], params, querystring, headers, body } = schema;
  const type = schema.consumes ?? 'application/json';
  const refused = (text: string) =>
    schema.refusedAs ? alsoJson(page(text), REFUSAL) : json(text, schema.refusal ?? REFUSAL);
  const isRead = params !== undefined || querystring !== undefined || body !== undefined;
  return {
    summary,
    ...(description === undefined ? {} : { description }),
    operationId: `${method.toLowerCase()}${url.replace(/[^A-Za-z0-9]+(\w?)/g, (_, first: string) => first.toUpperCase())}`,
    tags,
    security,
    parameters: [
      ...parametersOf(params as Shape, 'path'),
      ...parametersOf(querystring as Shape, 'query'),
      ...parametersOf(headers as Shape, 'header'),
    ],
    ...(body === undefined ? {} : { requestBody: { required: true, content: { [type]: { schema: body } } } }),
    responses: {
      ...(isRead ? { 400: refused('It is not understood; the sentence says what is wrong.') } : {}),
      ...(security.length > 0 && !schema.refusedAs
        ? { 401: refused('It needs a token.'), 403: refused('It needs the token of another role.') }
        : {}),
      ...(body === undefined
        ? {}
        : {
            413: refused(`The body is larger than ${bodyLimit} bytes.`),
            415: refused('The body is not of a type that is read.'),
          }),
      ...(schema.response as Record<string, Answer>),
      default: alsoJson(
        withHeaders(refused('It could not be answered; 429 and 503 say to ask again.'), LATER),
        schema.refusal ? { oneOf: [schema.refusal, REFUSAL] } : REFUSAL,
      ),
    },
  };
}

const LATER = { 'retry-after': 'in how many seconds, where that is known' };

/** Before a request has found its route, nobody knows how the route would refuse it. */
const alsoJson = (answer: Answer, schema: Shape): Answer => ({
  ...answer,
  content: { ...answer.content, 'application/json': { schema } },
});

function parametersOf(shape: Shape | undefined, place: 'path' | 'query' | 'header'): readonly Shape[] {
  const { properties = {}, required = [] } = (shape ?? {}) as Readonly<{
    properties?: Readonly<Record<string, Shape>>;
    required?: readonly string[];
  }>;
  return Object.entries(properties).map(([key, schema]) => ({
    name: key === '*' ? 'path' : key,
    in: place,
    required: place === 'path' || required.includes(key),
    schema,
  }));
}

/** What has a title goes to the components. What is not named is ignored by both sides, so nothing is said to be closed. */
function hoisted(value: unknown, components: Record<string, unknown>): unknown {
  if (Array.isArray(value)) return value.map((one) => hoisted(one, components));
  if (typeof value !== 'object' || value === null) return value;
  const { title, ...rest } = value as Shape;
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
    'What hosts and operators may ask of `updatectl server`. docs/protocol.md says when hosts ask what. Fields that are not named here are ignored, by the server and by whoever reads its answers.',
  license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
};

const TAGS = [
  { name: 'repository', description: 'The signed files, as any static web server gives them away.' },
  { name: 'hosts', description: 'What the agents on hosts ask.' },
  { name: 'operators', description: 'What operators read and change.' },
  { name: 'dashboard', description: 'Pages for browsers.' },
  { name: 'server', description: 'The server itself.' },
];

const KEYS = {
  machine: { type: 'http', scheme: 'bearer', description: 'The token of machines, also as the password of Basic.' },
  viewer: { type: 'http', scheme: 'bearer', description: 'The token of a viewer or an operator.' },
  operator: { type: 'http', scheme: 'bearer', description: 'The token of an operator.' },
  session: { type: 'apiKey', in: 'cookie', name: 'tandem', description: 'What signing in on the dashboard gives.' },
};
