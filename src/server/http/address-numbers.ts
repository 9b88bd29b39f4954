/** Parameters and queries are text; those that a route's schema declares as numbers are converted before validation. */

import type { FastifyInstance } from 'fastify';
import type { JsonSchema } from '../../formats/shape.ts';

export function readNumbers(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    const { properties = {} } = (route.schema?.querystring ?? {}) as {
      properties?: Readonly<Record<string, JsonSchema>>;
    };
    const names = Object.keys(properties).filter((name) => properties[name]?.['type'] === 'integer');
    if (names.length === 0) return;
    route.preValidation = async ({ query }) => {
      const given = query as Record<string, unknown>;
      for (const name of names) if (/^\d{1,15}$/.test(String(given[name]))) given[name] = Number(given[name]);
    };
  });
}
