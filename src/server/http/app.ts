/** The web server: routes, access control and error answers. Only this folder knows Fastify. */

import Fastify, { type FastifyInstance } from 'fastify';
import { shownJson } from '../../clean-text.ts';
import { literal, object } from '../../formats/shape.ts';
import { createFigures } from '../figures/figures.ts';
import { createHealth } from '../health.ts';
import { readNumbers } from './address-numbers.ts';
import { json } from './answers.ts';
import { auditRoute, logEntries } from './entries.ts';
import { createFailureLog } from './failure-log.ts';
import { enforceLimit, guard } from './guard.ts';
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
    // Open connections are still served until the server closes.
    return503OnClosing: false,
    logger: false as const,
    trustProxy: [...(world.proxies ?? [])],
    // Each route's schema limits its parameters.
    routerOptions: { maxParamLength: 16 * 1024 },
    // Unknown fields are dropped, `__proto__` and `constructor` included.
    onProtoPoisoning: 'remove' as const,
    onConstructorPoisoning: 'remove' as const,
    // No coercion in JSON: neither `null` nor "1" is a number.
    ajv: { customOptions: { coerceTypes: false as const } },
  };
  const app = (tls
    ? Fastify({ ...options, https: { ...options.http, key: Buffer.from(tls.key), cert: Buffer.from(tls.cert) } })
    : Fastify(options)) as unknown as FastifyInstance;
  // Response schemas only document: a mistake in one must not break an answer. Tests check the answers against them.
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
    enforceLimit(world.limits?.host(ip) ?? 0);
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

/** Names come from hosts and are untrusted, so the text is cleaned. */
const jsonOf = (document: unknown): string => shownJson(JSON.stringify(document));

/** The part of a server that lists its addresses. */
export type Listens = Pick<FastifyInstance, 'addresses'>;

/** The part of a server that holds its certificate. */
export type TlsServer = Readonly<{ server: object }>;

/** Uses another certificate for new connections; open ones are not affected. */
export function showIdentity({ server }: TlsServer, { key, cert }: NonNullable<AppWorld['tls']>): void {
  const shown = { key: Buffer.from(key), cert: Buffer.from(cert) };
  if ('setSecureContext' in server) (server.setSecureContext as (options: object) => void).call(server, shown);
}

const HEALTH = {
  summary: 'Health: can the server answer check-ins',
  tags: ['server'],
  response: { 200: json('It can', object({ ok: literal(true) })) },
};
