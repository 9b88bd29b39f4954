/** The web server of the fleet over any store, listening on the loopback device. */

import type { FastifyInstance } from 'fastify';
import { type ChannelState, createFleet } from '../../src/server/fleet/fleet.ts';
import { createRebootLocks, type LockDefaults } from '../../src/server/fleet/reboot-locks.ts';
import { createApp } from '../../src/server/http/app.ts';
import type { Store } from '../../src/server/store/store.ts';
import type { WatchedStore } from '../../src/server/store/watched.ts';
import { type Log, silentLog } from '../../src/system/log.ts';
import { accessWith, type GivenTokens } from './fleet-tokens.ts';

export type FleetAppOptions = Readonly<{
  store: Store;
  locks?: Partial<LockDefaults>;
  /** Without one for machines, hosts need none. */
  tokens?: GivenTokens;
  channel?: ChannelState;
  now?(): Date;
  log?: Log;
  lastWrite?: WatchedStore['lastWrite'];
}>;

export type FleetApp = AsyncDisposable & Readonly<{ url: string; app: FastifyInstance }>;

/** Without a repository: every channel is `channel`. */
export async function startFleetApp(options: FleetAppOptions): Promise<FleetApp> {
  const { store, tokens = {}, channel, now = () => new Date(), log = silentLog } = options;
  const app = await createApp({
    fleet: createFleet(store, async () => channel),
    locks: createRebootLocks(store, { max: 1, maxFailures: 0, deadlineSeconds: 3600, ...options.locks }),
    repository: '/nonexistent',
    serve: async () => undefined,
    access: await accessWith(store, tokens),
    store,
    channels: async () => new Map(),
    now,
    log,
    ...(options.lastWrite ? { lastWrite: options.lastWrite } : {}),
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return { url, app, [Symbol.asyncDispose]: () => app.close() };
}
