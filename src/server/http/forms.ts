/** Forms as browsers send them. */

import type { FastifyInstance, FastifyRequest } from 'fastify';

/** From here on forms are read, and nothing else. */
export function readForms(app: FastifyInstance): void {
  const options = { parseAs: 'string' as const, bodyLimit: 4096 };
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/x-www-form-urlencoded', options, (_request, text, done) => {
    done(null, Object.fromEntries(new URLSearchParams(String(text))));
  });
}

/** A field of the form that was sent, empty when it is not there. */
export function fieldOf({ body }: FastifyRequest, name: string): string {
  const value = typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[name] : undefined;
  return typeof value === 'string' ? value : '';
}
