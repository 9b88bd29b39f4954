/** Rollouts for programs: machines under way, failures with reasons, readmission. */

import type { FastifyInstance } from 'fastify';
import {
  type Checked,
  flag,
  integer,
  list,
  literal,
  named,
  object,
  optional,
  saying,
  words,
} from '../../../formats/shape.ts';
import { machineId, moment } from '../../../formats/wire-words.ts';
import type { Channels } from '../../fleet/channels.ts';
import type { Fleet } from '../../fleet/fleet.ts';
import { json, refused } from '../answers.ts';
import { entryOf } from '../entries.ts';
import { CHANNEL } from '../fleet-shapes.ts';
import { plain } from '../refusals.ts';

export type RolloutsWorld = Readonly<{ fleet: Fleet; channels(): Promise<Channels>; now(): Date }>;

type Asked = { Params: { channel: string } };

export function rolloutRoutes(app: FastifyInstance, { fleet, channels, now }: RolloutsWorld): void {
  app.get<Asked>('/v1/rollouts/:channel', { schema: ASKS.one }, async ({ params: { channel } }, reply) => {
    const state = (await channels()).get(channel);
    if (!state) return reply.code(404).send(noSuch(channel));
    const { inFlight, failed, readmitted, updated, braked } = await fleet.ledger(channel, now());
    return {
      ...{ schema: 1, channel, version: state.version, updated },
      ...(braked ? { braked: { at: iso(braked.at), reason: braked.reason, byHand: braked.byHand === true } } : {}),
      inFlight: [...inFlight].map(([machine, { due, via }]) => ({ machine, due: iso(due), ...(via ? { via } : {}) })),
      failed: [...failed].map(([machine, { reason, via, doubt }]) => ({
        ...{ machine, reason, mayTry: doubt !== undefined },
        ...(via ? { via } : {}),
      })),
      readmitted: [...readmitted],
    };
  });
  app.post<Asked & { Body: Checked<typeof READMIT> }>(
    '/v1/rollouts/:channel/readmit',
    { schema: ASKS.readmit },
    async (request, reply) => {
      const { channel } = request.params;
      const { machine } = request.body;
      const state = (await channels()).get(channel);
      if (!state?.offered) return reply.code(404).send(noSuch(channel));
      if (machine !== undefined && !(await fleet.machine(machine)))
        return reply.code(404).send(plain('machine-unknown', `No machine ${machine} has ever checked in.`));
      const about = `${machine ?? 'all that failed'}: ${state.version} in ${channel}`;
      const many = await fleet.readmit(channel, machine, entryOf(request, now(), 'machine-readmitted', { about }));
      return { schema: 1, channel, version: state.version, readmitted: many };
    },
  );
}

const noSuch = (channel: string) => plain('channel-unknown', `There is no rollout in a channel "${channel}".`);
const iso = (time: number): string => new Date(time).toISOString();

const sentence = words();
const MOST = 1_000_000;
const via = optional(saying('the intermediate release, if it is not the one of the rollout', sentence));
const ROLLOUT = named(
  'Rollout',
  object({
    ...{ schema: literal(1), channel: sentence, version: sentence, updated: integer(0) },
    braked: optional(object({ at: moment, reason: sentence, byHand: flag })),
    inFlight: saying(
      'the machines under way, and when their reports are due',
      list(object({ machine: machineId, due: moment, via }), MOST),
    ),
    failed: list(
      object({
        ...{ machine: machineId, reason: sentence, via },
        mayTry: saying('the release is not known to be at fault, so the host may retry', flag),
      }),
      MOST,
    ),
    readmitted: saying('readmitted by an operator, and not started yet', list(machineId, MOST)),
  }),
);
const READMIT = object({ machine: optional(saying('one machine; if missing, all that failed', machineId)) });

const ASKS = {
  one: {
    summary: 'Shows the rollout of a channel: machines under way, failures with reasons',
    tags: ['operators'],
    params: CHANNEL,
    response: { 200: json('The rollout', ROLLOUT), 404: refused('No such channel') },
  },
  readmit: {
    summary: 'Readmits one machine on which the release failed, or all of them',
    tags: ['operators'],
    params: CHANNEL,
    body: READMIT.schema,
    response: {
      200: json(
        'How many',
        object({ schema: literal(1), channel: sentence, version: sentence, readmitted: integer(0) }),
      ),
      404: refused('No such rollout or machine'),
    },
  },
};
