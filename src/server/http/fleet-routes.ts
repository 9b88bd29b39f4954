/** What hosts say to the server, and what operators may read of it. */

import type { FastifyInstance } from 'fastify';
import type { CheckIn } from '../../protocol.ts';
import { countCheckIn, type Figures } from '../figures.ts';
import type { Fleet } from '../fleet.ts';
import { type Search, searchMachines, searchOf } from '../machine-search.ts';
import { json, refused } from './answers.ts';
import { CHECK_IN, CHECK_IN_ANSWER, MACHINE, MACHINES, MACHINES_PAGE, machineId } from './fleet-shapes.ts';
import { plain } from './refusals.ts';
import { object } from './shapes.ts';

export const fleetRoutes = { hosts, operators };

/** What a host may ask. */
function hosts(app: FastifyInstance, fleet: Fleet, now: () => Date, figures: Figures): void {
  app.post<{ Body: CheckIn }>('/v1/check-in', { schema: ASKS.checkIn, bodyLimit: 16 * 1024 }, async ({ body }) => {
    const answer = await fleet.checkIn(body, now());
    countCheckIn(figures, body, answer);
    return answer;
  });
}

/** What an operator may read. */
function operators(app: FastifyInstance, fleet: Fleet, pause: () => Promise<void>): void {
  app.get<{ Querystring: Search & { limit?: number } }>(
    '/v1/machines',
    { schema: ASKS.machines },
    async ({ query: { limit = 100, ...query } }) => {
      const { machines, more } = await searchMachines({ machines: fleet.machines, pause }, searchOf(query), limit);
      const documents = machines.map((document) => ({ id: document.machine, document }));
      return { schema: 1, documents, ...(more === undefined ? {} : { next: more }) };
    },
  );
  app.get<{ Params: { id: string } }>(
    '/v1/machines/:id',
    { schema: ASKS.machine },
    async ({ params: { id } }, reply) =>
      (await fleet.machine(id)) ??
      reply.code(404).send(plain('machine-unknown', `No machine ${id} has ever checked in.`)),
  );
}

const ASKS = {
  checkIn: {
    summary: 'A host says where it is, and asks whether it may begin what its channel offers',
    tags: ['hosts'],
    body: CHECK_IN,
    response: { 200: json('Whether it may begin, and if not, why; never what to install', CHECK_IN_ANSWER) },
  },
  machines: {
    summary: 'What hosts have said, all or those that are looked for, a page at a time, by id',
    tags: ['operators'],
    querystring: MACHINES_PAGE,
    response: { 200: json('A page, which may be empty while others follow; `next` is missing on the last', MACHINES) },
  },
  machine: {
    summary: 'What one host has said',
    tags: ['operators'],
    params: object({ id: machineId }),
    response: { 200: json('The machine', MACHINE), 404: refused('It has never checked in.') },
  },
};
