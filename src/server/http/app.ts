/** The web server: routes, who may use them, and what a caller is told when something fails. This folder alone knows Fastify. */

import Fastify, { type FastifyInstance } from 'fastify';
import { shownJson } from '../../clean-text.ts';
import { createFigures } from '../figures/figures.ts';
import { createHealth } from '../health.ts';
import { readNumbers } from './address-numbers.ts';
import { json } from './answers.ts';
import { auditRoute, logEntries } from './entries.ts';
import { createFailureLog } from './failure-log.ts';
import { guard, inTime } from './guard.ts';
import { describeRoutes, MOST_BYTES } from './openapi.ts';
import { PATIENCE, patientFor } from './patience.ts';
import { answerBeforeNode, answerFailures, answerMissing, BEFORE_ROUTES, fleetLock, plain } from './refusals.ts';
import { fleetRoutes } from './routes/fleet.ts';
import { lockRoutes } from './routes/lock.ts';
import { countRequests, metricsRoute } from './routes/metrics.ts';
import { pageRoutes } from './routes/page.ts';
import { repositoryRoutes } from './routes/repository.ts';
import { rolloutRoutes } from './routes/rollout.ts';
import { tokenRoutes } from './routes/token.ts';
import { always, object } from './shapes.ts';
import type { AppWorld } from './world.ts';

/** The server, not yet listening. */
export async function createApp(world: AppWorld): Promise<FastifyInstance> {
  const { tls, log } = world;
  const failed = createFailureLog(log, world.now);
  const patient = patientFor({ ...PATIENCE, ...world.patience });
  const options = {
    ...BEFORE_ROUTES,
    ...patient,
    http: { ...BEFORE_ROUTES.http, ...patient.http },
    bodyLimit: MOST_BYTES,
    exposeHeadRoutes: false,
    keepAliveTimeout: 60_000,
    // Who has a connection is answered as ever until the server ends.
    return503OnClosing: false,
    logger: false as const,
    trustProxy: [...(world.proxies ?? [])],
    // How long what may be, the routes say.
    routerOptions: { maxParamLength: 16 * 1024 },
    // Fields that nobody knows are left out, whatever their names.
    onProtoPoisoning: 'remove' as const,
    onConstructorPoisoning: 'remove' as const,
    // A number in JSON is a number: `null` is none, and "1" neither.
    ajv: { customOptions: { coerceTypes: false as const } },
  };
  const app = (tls
    ? Fastify({ ...options, https: { ...options.http, key: Buffer.from(tls.key), cert: Buffer.from(tls.cert) } })
    : Fastify(options)) as unknown as FastifyInstance;
  // The schemas of answers describe them: a slip in one must not cost an answer. Tests hold the answers to them.
  app.setSerializerCompiler(() => jsonOf);
  app.setReplySerializer(jsonOf);
  const { routesAt } = describeRoutes(app);
  answerBeforeNode(app);
  answerFailures(app, failed, plain);
  answerMissing(app, routesAt);
  readNumbers(app);
  const counts = world.figures ?? createFigures();
  countRequests(app, counts);
  repositoryRoutes(app, world.repository, world.serve);
  const health = createHealth(world);
  app.get('/healthz', { schema: HEALTH }, async ({ ip }) => {
    inTime(world.limits?.host(ip) ?? 0);
    await health();
    return { ok: true };
  });
  await app.register(async (scope) => {
    guard(scope, world, () => 'machine', plain);
    fleetRoutes.hosts(scope, world.fleet, world.now, counts);
  });
  await app.register(async (scope) => {
    logEntries(scope, log);
    guard(scope, world, (method) => (method === 'GET' ? 'viewer' : 'operator'), plain);
    fleetRoutes.operators(scope, world);
    rolloutRoutes(scope, world);
    lockRoutes.operators(scope, world.locks, world.now);
    tokenRoutes(scope, world.access, world.now);
    auditRoute(scope, world.store);
    metricsRoute(scope, world, counts);
  });
  await app.register(async (scope) => {
    answerFailures(scope, failed, fleetLock);
    guard(scope, world, () => 'machine', fleetLock);
    lockRoutes.hosts(scope, world.locks, world.now);
  });
  const { pages } = world;
  if (pages) await app.register(async (scope) => pageRoutes(scope, { ...world, ...pages, failed }));
  return app;
}

/** Hosts, and whoever says that he is one, name things as they like. */
const jsonOf = (document: unknown): string => shownJson(JSON.stringify(document));

/** A server as far as its addresses are concerned: those of TCP are no text. */
export type Listens = Pick<FastifyInstance, 'addresses'>;

/** A server as far as its certificate is concerned. */
export type Shows = Readonly<{ server: object }>;

/** Connections from now on are shown another certificate; those that are there go on. */
export function showIdentity({ server }: Shows, { key, cert }: NonNullable<AppWorld['tls']>): void {
  const shown = { key: Buffer.from(key), cert: Buffer.from(cert) };
  if ('setSecureContext' in server) (server.setSecureContext as (options: object) => void).call(server, shown);
}

const HEALTH = {
  summary: 'Whether hosts that check in are answered',
  tags: ['server'],
  response: { 200: json('It does.', object({ ok: always(true) })) },
};
