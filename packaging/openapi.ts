/** The description of the server's interface as a file, requested from a server with an empty repository. */

import type { FastifyInstance } from 'fastify';
import { createApp } from '../src/server/http/app.ts';
import type { AppWorld, ViewWorld } from '../src/server/http/world.ts';
import { silentLog } from '../src/system/log.ts';

/** A server with all routes, of which only the description works. */
export function emptyServer(): Promise<FastifyInstance> {
  const pages = {} as Pick<ViewWorld, 'census' | 'pause'>;
  const world = { repository: '/nonexistent', serve: async () => undefined, log: silentLog, pages };
  return createApp(world as unknown as AppWorld);
}

export async function openApi(): Promise<string> {
  const app = await emptyServer();
  const { body } = await app.inject('/openapi.json');
  await app.close();
  return `${JSON.stringify(JSON.parse(body), null, 2)}\n`;
}
