/** What a request does, as the audit log keeps it, and the way to read that log. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Log } from '../../system/log.ts';
import { DEEDS, type Deed, type Entry, lastEntries } from '../audit.ts';
import type { Store } from '../store.ts';
import { json } from './answers.ts';
import { moment } from './fleet-shapes.ts';
import { always, list, loose, named, object, oneOf, sentence, whole } from './shapes.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** What it does, if it is one that changes something. */
    entry?: Entry;
  }
}

/** Remembered with the request, so that the server's own log has it, too. */
export function entryOf(
  request: FastifyRequest,
  now: Date,
  what: Deed,
  rest: Readonly<{ who?: string; about?: string; reason?: string }> = {},
): Entry {
  request.entry = {
    at: now.toISOString(),
    what,
    who: request.holder?.name ?? 'nobody',
    from: request.ip,
    ...rest,
  };
  return request.entry;
}

/** From here on what requests do is logged, with what they were answered. */
export function logEntries(scope: FastifyInstance, log: Log): void {
  scope.addHook('onResponse', async ({ entry }, { statusCode }) => {
    if (entry) log.info({ ...entry, status: statusCode }, 'audit');
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
  summary: 'Who has changed what, when and from where, the newest first',
  tags: ['operators'],
  querystring: loose({ limit: whole(1, 1000) }),
  response: { 200: json('The last entries', object({ schema: always(1), entries: list(ENTRY) })) },
};
