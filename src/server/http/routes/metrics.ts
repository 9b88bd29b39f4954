/** Metrics for Prometheus: the server's counters, and the current state of the fleet. */

import type { FastifyInstance } from 'fastify';
import { gauge, METRICS_TYPE, type Metric, metricsText } from '../../../formats/metrics-text.ts';
import { processMetrics } from '../../../system/process/process-metrics.ts';
import { type Figures, figuresMetrics } from '../../figures/figures.ts';
import { expiryMetrics, lockMetrics, machineMetrics, rolloutMetrics } from '../../figures/fleet-metrics.ts';
import type { Census } from '../../fleet/census.ts';
import type { Counted } from '../../fleet/census-tally.ts';
import type { Channels } from '../../fleet/channels.ts';
import type { Fleet } from '../../fleet/fleet.ts';
import type { RebootLocks } from '../../fleet/reboot-locks.ts';
import { raw } from '../answers.ts';
import { LOCK_KINDS } from './lock.ts';

export type MetricsWorld = Readonly<{
  fleet: Fleet;
  locks: RebootLocks;
  channels(): Promise<Channels>;
  /** The expiry of the repository's metadata, by role. */
  expires?(): Promise<ReadonlyMap<string, Date>>;
  now(): Date;
  pages?: Readonly<{ census: Census }>;
  /** Metrics from other parts of the server. */
  more?(): readonly Metric[];
}>;

/** Omits a part that fails, and reports it in `tandem_server_part_up`: partial metrics are better than none in an outage. */
export function metricsRoute(app: FastifyInstance, world: MetricsWorld, figures: Figures): void {
  app.get('/metrics', { schema: ASKS }, async (_request, reply) => {
    const now = world.now();
    const parts = {
      repository: repository(world),
      machines: machines(world),
      rollouts: rollouts(world, now),
      locks: locks(world, now),
    };
    const collected = await Promise.all(
      Object.entries(parts).map(async ([part, made]) => ({ part, metrics: await made.catch(() => undefined) })),
    );
    const metrics = [
      ...collected.flatMap(({ metrics = [] }) => metrics),
      gauge(
        'tandem_server_part_up',
        '0 if this part of the metrics could not be collected.',
        collected.map(({ part, metrics }) => ({ labels: { part }, value: metrics ? 1 : 0 })),
      ),
      ...(world.more?.() ?? []),
      ...figuresMetrics(figures),
      ...processMetrics('process'),
    ];
    return reply.type(METRICS_TYPE).send(metricsText(metrics));
  });
}

/** Counts the requests to `app` and to all scopes registered after this call. */
export function countRequests(app: FastifyInstance, { requests, requestTimes, refusals }: Figures): void {
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'none';
    requests.add({ method: request.method, route, status: String(reply.statusCode) });
    requestTimes.took({ route }, reply.elapsedTime / 1000);
    done();
  });
  app.addHook('preSerialization', (_request, reply, answer, done) => {
    const code = refusalIn(answer, reply.statusCode);
    if (code !== undefined) refusals.add({ code });
    done(null, answer);
  });
}

/** The code in an answer, of a refused request and of a “not yet” to a host alike. */
function refusalIn(answer: unknown, status: number): string | undefined {
  if (typeof answer !== 'object' || answer === null) return undefined;
  const { go, code, kind } = answer as Readonly<Record<string, unknown>>;
  if (status < 400 && go !== false) return undefined;
  if (typeof code === 'string') return code;
  return typeof kind === 'string' ? (CODES.get(kind) ?? kind) : undefined;
}

const CODES: ReadonlyMap<string, string> = new Map(Object.entries(LOCK_KINDS).map(([code, kind]) => [kind, code]));

const repository = async ({ channels, expires }: MetricsWorld): Promise<readonly Metric[]> => {
  await channels();
  return expires ? expiryMetrics(await expires()) : [];
};

/** Uses the last census if there is one: a fresh count reads the whole store. */
async function machines({ fleet, pages }: MetricsWorld): Promise<readonly Metric[]> {
  const last = await counted(pages);
  const many = last?.machines ?? (await fleet.count());
  return [gauge('tandem_machines', 'Machines that have ever checked in.', many), ...machineMetrics(last)];
}

async function rollouts({ fleet, channels, pages }: MetricsWorld, now: Date): Promise<readonly Metric[]> {
  const tallies = (await counted(pages))?.channels ?? {};
  const shown = [...(await channels())].map(async ([channel, state]) => {
    const tally = tallies[channel];
    return { channel, state, ledger: await fleet.ledger(channel, now), ...(tally ? { tally } : {}) };
  });
  return rolloutMetrics(await Promise.all(shown), now);
}

const locks = async ({ locks }: MetricsWorld, now: Date): Promise<readonly Metric[]> =>
  lockMetrics((await locks.all(MOST_LOCKS, now)).locks, now);

const MOST_LOCKS = 1000;

/** The last census; a scrape never starts one. */
const counted = async (pages: MetricsWorld['pages']): Promise<Counted | undefined> => pages?.census.last();

const ASKS = {
  summary: 'Metrics for Prometheus',
  tags: ['operators'],
  response: { 200: raw('Prometheus text format', 'text/plain') },
};
