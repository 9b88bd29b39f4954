/** What hosts say to the server, and what operators may read of it. */

import type { FastifyInstance } from 'fastify';
import { PRODUCT_PATTERN, VERSION_PATTERN } from '../../model.ts';
import type { CheckIn } from '../../protocol.ts';
import { GROUP_PATTERN } from '../../rollout/document.ts';
import type { Fleet } from '../fleet.ts';
import type { Counts } from './metrics-route.ts';

const text = (pattern: RegExp | string, maxLength: number) => ({
  type: 'string',
  maxLength,
  pattern: typeof pattern === 'string' ? pattern : pattern.source,
});
const object = (properties: Readonly<Record<string, object>>, required: readonly string[]) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
});
const version = text(VERSION_PATTERN, 64);
const line = { type: 'string', maxLength: 500 };
const counter = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
const moment = text('^\\d{4}-\\d\\d-\\d\\dT[\\d:.]{8,12}Z$', 32);
const MACHINE = '^[0-9a-f]{32}$';
const CHECK_IN = object(
  {
    schema: { const: 1 },
    machine: text(MACHINE, 32),
    group: text(GROUP_PATTERN, 64),
    product: text(PRODUCT_PATTERN, 32),
    channel: text('^[a-z0-9][a-z0-9-]*$', 64),
    agent: line,
    running: object({ version, counter }, ['version']),
    confirmed: { type: 'boolean' },
    state: { enum: ['settling', 'idle', 'staging', 'staged', 'armed', 'trial', 'condemned'] },
    since: moment,
    wants: version,
    waitingFor: line,
    outcome: object(
      {
        at: moment,
        result: { enum: ['updated', 'rolled-back', 'failed', 'withdrawn'] },
        version,
        code: line,
        reason: line,
      },
      ['at', 'result', 'version'],
    ),
  },
  ['schema', 'machine', 'group', 'product', 'channel', 'agent', 'running', 'confirmed', 'state', 'since'],
);

export const fleetRoutes = { hosts, operators };

/** What a host may ask. */
function hosts(app: FastifyInstance, fleet: Fleet, now: () => Date, counts: Counts): void {
  app.post<{ Body: CheckIn }>(
    '/v1/check-in',
    { schema: { body: CHECK_IN }, bodyLimit: 16 * 1024 },
    async ({ body }) => {
      const answer = await fleet.checkIn(body, now());
      counts[answer.go ? 'go' : 'hold'] += 1;
      return answer;
    },
  );
}

/** What an operator may read. */
function operators(app: FastifyInstance, fleet: Fleet): void {
  const page = object(
    { limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100 }, after: text(MACHINE, 32) },
    [],
  );
  app.get<{ Querystring: { limit?: number; after?: string } }>(
    '/v1/machines',
    { schema: { querystring: page } },
    async ({ query: { limit = 100, after } }) => ({ schema: 1, ...(await fleet.machines(limit, after)) }),
  );
  app.get<{ Params: { id: string } }>(
    '/v1/machines/:id',
    { schema: { params: object({ id: text(MACHINE, 32) }, ['id']) } },
    async ({ params: { id } }, reply) =>
      (await fleet.machine(id)) ??
      reply.code(404).send({ code: 'not-found', message: `No machine ${id} has ever checked in.` }),
  );
}
