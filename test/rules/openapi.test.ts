/** The description of the server's interface against the routes that its router really has. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyServer } from '../../packaging/openapi.ts';

type Operation = Readonly<{
  summary?: string;
  tags?: readonly string[];
  responses: Readonly<Record<string, object>>;
  parameters: readonly Readonly<{ name: string; in: string; schema: object }>[];
  requestBody?: object;
}>;
type Described = Readonly<Record<string, Readonly<Record<string, Operation>>>>;

const app = await emptyServer();
await app.ready();
const { paths, tags } = (await app.inject('/openapi.json')).json() as {
  paths: Described;
  tags: readonly Readonly<{ name: string }>[];
};
const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ at: `${method.toUpperCase()} ${path}`, operation })),
);

/** The routes of the router's own drawing: a tree of the pieces that addresses share. */
function routesIn(drawing: string): string[] {
  const trail: string[] = [];
  return drawing.split('\n').flatMap((line) => {
    const [, indent = '', piece = '', methods = ''] = /^([│├└─ ]*)(\S+)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? [];
    if (piece === '') return [];
    trail.splice(indent.length / 4 - 1, Number.POSITIVE_INFINITY, piece);
    const path = trail
      .join('')
      .replace(/:(\w+)/g, '{$1}')
      .replace('*', '{path}');
    return methods === '' ? [] : methods.split(', ').map((method) => `${method} ${path}`);
  });
}

const unlike = (one: readonly string[], other: readonly string[]): string[] => one.filter((at) => !other.includes(at));

test('every route of the server is described, and nothing that is described is missing', () => {
  const [routes, described] = [routesIn(app.printRoutes()), operations.map(({ at }) => at)];
  assert.ok(routes.length >= 25, app.printRoutes());
  assert.deepEqual(unlike(routes, described), [], 'not described');
  assert.deepEqual(unlike(described, routes), [], 'described, but not there');
});

test('every route of the server is described: and the rule sees when it is broken', () => {
  const drawing =
    '└── / (GET)\n    ├── v1/\n    │   └── lo (PUT)\n    │       └── :id (GET, HEAD)\n    └── b/\n        └── * (GET)\n';
  assert.deepEqual(routesIn(drawing), ['GET /', 'PUT /v1/lo', 'GET /v1/lo{id}', 'HEAD /v1/lo{id}', 'GET /b/{path}']);
  assert.deepEqual(unlike(['GET /a', 'GET /b'], ['GET /a']), ['GET /b']);
});

const vague = ({ summary = '', tags: own = [], responses }: Operation): boolean =>
  !/^[A-Z].{5,}/.test(summary) ||
  !own.every((tag) => tags.some(({ name }) => name === tag)) ||
  own.length !== 1 ||
  !('default' in responses) ||
  Object.keys(responses).length < 2;

test('every operation says what it does, to whom, and how it answers', () => {
  assert.deepEqual(
    operations.filter(({ operation }) => vague(operation)).map(({ at }) => at),
    [],
  );
  assert.ok(vague({ summary: 'Says much', tags: ['nobody'], parameters: [], responses: { 200: {}, default: {} } }));
  assert.ok(vague({ tags: ['hosts'], parameters: [], responses: { 200: {}, default: {} } }));
});

const namesIn = (path: string): string[] => [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);

/** What an address or a body holds, and nobody has said how it looks. */
const unsaid = (at: string, { parameters, requestBody, responses }: Operation): boolean =>
  namesIn(at).some((name) => !parameters.some((one) => one.name === name && one.in === 'path')) ||
  parameters.some(({ schema }) => Object.keys(schema).length === 0) ||
  (/^(POST|PUT)/.test(at) && requestBody === undefined) ||
  !Object.entries(responses).every(([status, answer]) => 'content' in answer || /^30[34]$/.test(status));

test('every name in an address, every body and every answer has a schema', () => {
  assert.deepEqual(
    operations.filter(({ at, operation }) => unsaid(at, operation)).map(({ at }) => at),
    [],
  );
  const fine = { parameters: [{ name: 'id', in: 'path', schema: { type: 'string' } }], responses: {} };
  assert.equal(unsaid('GET /a/{id}', fine), false);
  assert.ok(unsaid('GET /a/{other}', fine));
  assert.ok(unsaid('PUT /a/{id}', fine));
  assert.ok(unsaid('GET /a/{id}', { ...fine, responses: { 200: {} } }));
});

test('every name of an operation is its own, and every reference leads somewhere', async () => {
  const { body } = await app.inject('/openapi.json');
  const names = [...body.matchAll(/"operationId":"(\w+)"/g)].map(([, name]) => name);
  assert.equal(new Set(names).size, operations.length);
  const { components } = JSON.parse(body) as { components: { schemas: object } };
  for (const [, name = ''] of body.matchAll(/"#\/components\/schemas\/(\w+)"/g))
    assert.ok(name in components.schemas, name);
});
