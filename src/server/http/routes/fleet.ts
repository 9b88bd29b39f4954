/** Check-ins of hosts, and the operators' view of machines. */

import type { FastifyInstance, FastifyReply } from 'fastify';
import { CHECK_IN, CHECK_IN_ANSWER, type CheckIn } from '../../../formats/check-in.ts';
import { literal, object } from '../../../formats/shape.ts';
import { machineId } from '../../../formats/wire-words.ts';
import { HARDWARE_HEADER, MACHINE_HEADER, SECRET_HEADER } from '../../../protocol.ts';
import { countCheckIn, type Figures } from '../../figures/figures.ts';
import type { Fleet } from '../../fleet/fleet.ts';
import { type Search, searchMachines, searchOf } from '../../fleet/machine-search.ts';
import type { Shown } from '../../fleet/machine-secrets.ts';
import type { MachineRecord } from '../../fleet/machines.ts';
import { json, refused } from '../answers.ts';
import { entryOf } from '../entries.ts';
import {
  MACHINE,
  MACHINES,
  MACHINES_PAGE,
  type MachineShown,
  type MachinesShown,
  SHOWN_WITH,
} from '../fleet-shapes.ts';
import { plain } from '../refusals.ts';

export const fleetRoutes = { hosts, operators };

/** The routes for hosts. */
function hosts(app: FastifyInstance, fleet: Fleet, now: () => Date, figures: Figures): void {
  app.post<{ Body: CheckIn }>(
    '/v1/check-in',
    { schema: ASKS.checkIn, bodyLimit: 16 * 1024 },
    async ({ body, headers, ip }) => {
      const answer = await fleet.checkIn(body, now(), { ...shownIn(headers), from: ip });
      countCheckIn(figures, body, answer);
      return answer;
    },
  );
}

/** The routes for operators. */
function operators(app: FastifyInstance, { fleet, now, pages }: OperatorWorld): void {
  const pause = pages?.pause ?? (async () => {});
  app.get<{ Querystring: Search & { limit?: number } }>(
    '/v1/machines',
    { schema: ASKS.machines },
    async ({ query: { limit = 100, ...query } }): Promise<MachinesShown> => {
      const { machines, more } = await searchMachines({ machines: fleet.machines, pause }, searchOf(query), limit);
      const documents = machines.map((document) => ({ id: document.machine, document: publicRecord(document) }));
      return { schema: 1, documents, ...(more === undefined ? {} : { next: more }) };
    },
  );
  app.get<{ Params: { id: string } }>(
    '/v1/machines/:id',
    { schema: ASKS.machine },
    async ({ params: { id } }, reply) => {
      const machine = await fleet.machine(id);
      return machine ? publicRecord(machine) : unknown(reply, id);
    },
  );
  app.delete<{ Params: { id: string } }>('/v1/machines/:id', { schema: ASKS.forget }, async (request, reply) => {
    const { id } = request.params;
    const isDone = await fleet.forget(id, entryOf(request, now(), 'machine-forgotten', { about: id }));
    return isDone ? { schema: 1, forgotten: id } : unknown(reply, id);
  });
  app.delete<{ Params: { id: string } }>('/v1/machines/:id/secret', { schema: ASKS.reset }, async (request, reply) => {
    const { id } = request.params;
    const isDone = await fleet.resetSecret(id, entryOf(request, now(), 'machine-reset', { about: id }));
    return isDone ? { schema: 1, reset: id } : unknown(reply, id);
  });
}

type OperatorWorld = Readonly<{ fleet: Fleet; now(): Date; pages?: Readonly<{ pause(): Promise<void> }> }>;

/** The record without the digest of its secret and internal fields. */
function publicRecord({ secret, boot: _boot, past: _past, ...machine }: MachineRecord): MachineShown {
  return { ...machine, ...(secret === undefined ? {} : { bound: true }) };
}

const unknown = (reply: FastifyReply, id: string): FastifyReply =>
  reply.code(404).send(plain('machine-unknown', `There is no machine ${id} in this fleet.`));

/** The identity that a host sends in its headers. */
export function shownIn(headers: Readonly<Record<string, string | readonly string[] | undefined>>): Shown {
  const [secret, hardware, machine] = [headers[SECRET_HEADER], headers[HARDWARE_HEADER], headers[MACHINE_HEADER]];
  return {
    ...(typeof secret === 'string' ? { secret } : {}),
    ...(typeof hardware === 'string' ? { hardware } : {}),
    ...(typeof machine === 'string' ? { machine } : {}),
  };
}

const ASKS = {
  checkIn: {
    summary: 'Check-in: a host reports its state and asks whether it may start an update',
    tags: ['hosts'],
    headers: SHOWN_WITH,
    body: CHECK_IN.schema,
    response: {
      403: refused('The machine’s id is bound to another secret, or the token does not permit this'),
      200: json('Whether it may start, or the reason why not; never what to install', CHECK_IN_ANSWER),
    },
  },
  machines: {
    summary: 'Lists or searches machines, a page at a time, by id',
    tags: ['operators'],
    querystring: MACHINES_PAGE,
    response: { 200: json('A page; it may be empty although more follow. The last page has no `next`', MACHINES) },
  },
  machine: {
    summary: 'Shows one machine',
    tags: ['operators'],
    params: object({ id: machineId }).schema,
    response: { 200: json('The machine', MACHINE), 404: refused('No such machine') },
  },
  forget: {
    summary: 'Forgets a machine that will not come back; its next check-in would register it again',
    tags: ['operators'],
    params: object({ id: machineId }).schema,
    response: {
      200: json('Forgotten', object({ schema: literal(1), forgotten: machineId })),
      404: refused('No such machine'),
    },
  },
  reset: {
    summary: 'Resets the secret of a reinstalled machine: its id is bound to the next secret presented',
    tags: ['operators'],
    params: object({ id: machineId }).schema,
    response: {
      200: json('Its id is no longer bound to a secret', object({ schema: literal(1), reset: machineId })),
      404: refused('No such machine'),
    },
  },
};
