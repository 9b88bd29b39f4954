/** The description of the server's interface as a file: what the server itself gives away, asked of one that has nothing to serve. */

import type { FastifyInstance } from 'fastify';
import { createApp } from '../src/server/http/app.ts';
import type { AppWorld, ViewWorld } from '../src/server/http/world.ts';
import { silentLog } from '../src/system/log.ts';

/** The server with all its routes; none of them but the description can be asked. */
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
