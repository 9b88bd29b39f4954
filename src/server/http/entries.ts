/** Audit entries of requests, and the route that lists them. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type Checked, integer, list, literal, object, optional } from '../../formats/shape.ts';
import type { Log } from '../../system/log.ts';
import { type AuditEntry, type Deed, ENTRY, lastEntries, type PendingEntry } from '../fleet/audit.ts';
import type { Store } from '../store/store.ts';
import { json } from './answers.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The entry of a change that has not been made yet. */
    undone?: AuditEntry | undefined;
    /** Logs a change that was made. */
    logChange?(entry: AuditEntry): void;
  }
}

/** An audit entry, which also goes to the server's own log once it is stored. */
export function entryOf(
  request: FastifyRequest,
  now: Date,
  what: Deed,
  rest: Readonly<{ who?: string; about?: string; reason?: string }> = {},
): AuditEntry & Required<Pick<PendingEntry, 'kept'>> {
  const who = request.holder?.name ?? 'nobody';
  const entry: AuditEntry = { at: now.toISOString(), what, who, from: request.ip, ...rest };
  request.undone = entry;
  const kept = (): void => {
    request.undone = undefined;
    request.logChange?.(entry);
  };
  return { ...entry, kept };
}

/** Logs each change of a request in `scope` as soon as it is made, even if the client has hung up; and a change that was not made, as such. */
export function logEntries(scope: FastifyInstance, log: Log): void {
  scope.addHook('onRequest', async (request) => {
    request.logChange = (entry) => log.info(entry, 'audit');
  });
  scope.addHook('onResponse', async ({ undone }, { statusCode: status }) => {
    if (!undone) return;
    const { what: asked, ...rest } = undone;
    log.info({ ...rest, asked, status }, 'nothing was changed');
  });
}

export function auditRoute(app: FastifyInstance, store: Store): void {
  app.get<{ Querystring: { limit?: number } }>(
    '/v1/audit',
    { schema: ASKS },
    async ({ query: { limit = 100 } }): Promise<Checked<typeof ENTRIES>> => ({
      schema: 1,
      entries: await lastEntries(store, limit),
    }),
  );
}

const ENTRIES = object({ schema: literal(1), entries: list(ENTRY, 1000) });
const ASKS = {
  summary: 'Lists the audit log: who changed what, when and from where; newest first',
  tags: ['operators'],
  querystring: object({ limit: optional(integer(1, 1000)) }).schema,
  response: { 200: json('The latest entries', ENTRIES) },
};
