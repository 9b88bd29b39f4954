/** Bodies of HTML forms. */

import type { FastifyInstance, FastifyRequest } from 'fastify';

/** Makes `app` accept forms and no other body. */
export function readForms(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if (route.schema?.body !== undefined) route.bodyLimit = MOST_BYTES;
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, text, done) => {
    done(null, Object.fromEntries(new URLSearchParams(String(text))));
  });
}

const MOST_BYTES = 4096;

/** A field of the submitted form; empty if missing. */
export function fieldOf({ body }: FastifyRequest, name: string): string {
  const value = typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[name] : undefined;
  return typeof value === 'string' ? value : '';
}
