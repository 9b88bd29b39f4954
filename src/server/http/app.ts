/** The web server: routes, who may use them, and what a caller is told when something fails. This folder alone knows Fastify. */

import Fastify, { type FastifyInstance } from 'fastify';
import { asUpdateError } from '../../errors.ts';
import type { Log } from '../../system/log.ts';
import type { Channels } from '../channels.ts';
import type { Fleet } from '../fleet.ts';
import type { RebootLocks } from '../reboot-locks.ts';
import { mayAct, type Role, type TokenDigests } from '../tokens.ts';
import { fleetRoutes } from './fleet-routes.ts';
import { lockRoutes } from './lock-routes.ts';
import { type Counts, metricsRoute } from './metrics-route.ts';
import { pageRoutes } from './page-routes.ts';
import { repositoryRoutes, type Serve } from './repository-routes.ts';
import type { ViewWorld } from './view-routes.ts';

export type AppWorld = Readonly<{
  fleet: Fleet;
  locks: RebootLocks;
  /** The folder of the repository. */
  repository: string;
  serve: Serve;
  tokens: TokenDigests;
  channels(): Promise<Channels>;
  now(): Date;
  log: Log;
  /** What the pages need besides; without it there are none. */
  pages?: Pick<ViewWorld, 'census' | 'pause'>;
  /** Without it, HTTP is spoken in the clear. */
  tls?: Readonly<{ key: Uint8Array; cert: Uint8Array }>;
}>;

/** The server, not yet listening. */
export async function createApp(world: AppWorld): Promise<FastifyInstance> {
  const { tls, log } = world;
  const options = {
    bodyLimit: 64 * 1024,
    requestTimeout: 30_000,
    exposeHeadRoutes: false,
    keepAliveTimeout: 60_000,
    logger: false as const,
  };
  const app = (tls
    ? Fastify({ ...options, https: { key: Buffer.from(tls.key), cert: Buffer.from(tls.cert) } })
    : Fastify(options)) as unknown as FastifyInstance;
  answerFailures(app, log, plain);
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).send({ code: 'not-found', message: 'There is nothing here.' }),
  );
  const counts: Counts = { go: 0, hold: 0 };
  repositoryRoutes(app, world.repository, world.serve);
  app.get('/healthz', async () => ({ ok: true, machines: await world.fleet.count() }));
  for (const role of ['machine', 'operator'] as const)
    await app.register(async (scope) => {
      guard(scope, world.tokens, role, plain);
      if (role === 'machine') fleetRoutes.hosts(scope, world.fleet, world.now, counts);
      else {
        fleetRoutes.operators(scope, world.fleet);
        lockRoutes.operators(scope, world.locks, world.now);
        metricsRoute(scope, world, counts);
      }
    });
  await app.register(async (scope) => {
    answerFailures(scope, log, fleetLock);
    guard(scope, world.tokens, 'machine', fleetLock);
    lockRoutes.hosts(scope, world.locks, world.now);
  });
  const { pages } = world;
  if (pages) await app.register(async (scope) => pageRoutes(scope, { ...world, ...pages }));
  return app;
}

/** How a refusal is worded for those who ask. */
type Wording = (code: string, message: string) => object;
const plain: Wording = (code, message) => ({ code, message });
const fleetLock: Wording = (kind, value) => ({ kind, value });

function answerFailures(scope: FastifyInstance, log: Log, worded: Wording): void {
  scope.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const status = error.statusCode ?? statusOf(asUpdateError(error).code);
    const { code, message } = status < 500 ? { code: 'request-invalid', message: error.message } : asUpdateError(error);
    if (status >= 500) log.error({ code, url: request.url }, message);
    return reply
      .code(status)
      .send(worded(code, status < 500 ? message : 'The server could not do this; its log says why.'));
  });
}

/** What is out of reach for a while is asked for again; the rest is a fault of ours. */
const statusOf = (code: string): number => (/^(etcd|store)-/.test(code) ? 503 : 500);

function guard(scope: FastifyInstance, tokens: TokenDigests, role: Role, worded: Wording): void {
  scope.addHook('onRequest', async (request, reply) => {
    if (mayAct(tokens, role, request.headers.authorization)) return;
    await reply
      .code(401)
      .header('www-authenticate', 'Bearer')
      .send(worded('denied', `This needs the token of ${role === 'operator' ? 'an operator' : 'a machine'}.`));
  });
}
