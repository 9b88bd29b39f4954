/** Audit entries of requests, and the route that lists them. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Log } from '../../system/log.ts';
import { DEEDS, type Deed, type Entry, lastEntries, type PendingEntry } from '../fleet/audit.ts';
import type { Store } from '../store/store.ts';
import { json } from './answers.ts';
import { moment } from './fleet-shapes.ts';
import { always, list, loose, named, object, oneOf, sentence, whole } from './shapes.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The entry of a change that has not been made yet. */
    undone?: Entry | undefined;
    /** Logs a change that was made. */
    tells?(entry: Entry): void;
  }
}

/** An audit entry, which also goes to the server's own log once it is stored. */
export function entryOf(
  request: FastifyRequest,
  now: Date,
  what: Deed,
  rest: Readonly<{ who?: string; about?: string; reason?: string }> = {},
): Entry & Required<Pick<PendingEntry, 'kept'>> {
  const who = request.holder?.name ?? 'nobody';
  const entry: Entry = { at: now.toISOString(), what, who, from: request.ip, ...rest };
  request.undone = entry;
  const kept = (): void => {
    request.undone = undefined;
    request.tells?.(entry);
  };
  return { ...entry, kept };
}

/** Logs each change of a request in `scope` as soon as it is made, even if the client has hung up; and a change that was not made, as such. */
export function logEntries(scope: FastifyInstance, log: Log): void {
  scope.addHook('onRequest', async (request) => {
    request.tells = (entry) => log.info(entry, 'audit');
  });
  scope.addHook('onResponse', async ({ undone }, { statusCode: status }) => {
    if (!undone) return;
    const { what: asked, ...rest } = undone;
    log.info({ ...rest, asked, status }, 'nothing was changed');
  });
}

export function auditRoute(app: FastifyInstance, store: Store): void {
  app.get<{ Querystring: { limit?: number } }>('/v1/audit', { schema: ASKS }, async ({ query: { limit = 100 } }) => ({
    schema: 1,
    entries: await lastEntries(store, limit),
  }));
}

const ENTRY = named(
  'AuditEntry',
  object(
    {
      at: moment,
      what: oneOf(...DEEDS),
      who: sentence,
      from: sentence,
      about: sentence,
      reason: sentence,
      times: whole(2),
    },
    ['at', 'what', 'who', 'from'],
  ),
);
const ASKS = {
  summary: 'Lists the audit log: who changed what, when and from where; newest first',
  tags: ['operators'],
  querystring: loose({ limit: whole(1, 1000) }),
  response: { 200: json('The latest entries', object({ schema: always(1), entries: list(ENTRY) })) },
};
