/** Figures for Prometheus: what the server has counted, and the fleet as it is now. */

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
  /** When the metadata of the repository expires, by role. */
  expires?(): Promise<ReadonlyMap<string, Date>>;
  now(): Date;
  pages?: Readonly<{ census: Census }>;
  /** Of what else this server keeps an eye on. */
  more?(): readonly Metric[];
}>;

/** A part that cannot be had is left out and named: half the figures in an outage are better than none. */
export function metricsRoute(app: FastifyInstance, world: MetricsWorld, figures: Figures): void {
  app.get('/metrics', { schema: ASKS }, async (_request, reply) => {
    const now = world.now();
    const parts = {
      repository: repository(world),
      machines: machines(world),
      rollouts: rollouts(world, now),
      locks: locks(world, now),
    };
    const told = await Promise.all(
      Object.entries(parts).map(async ([part, made]) => ({ part, metrics: await made.catch(() => undefined) })),
    );
    const metrics = [
      ...told.flatMap(({ metrics = [] }) => metrics),
      gauge(
        'tandem_server_part_up',
        '0 when this part of the figures could not be had.',
        told.map(({ part, metrics }) => ({ labels: { part }, value: metrics ? 1 : 0 })),
      ),
      ...(world.more?.() ?? []),
      ...figuresMetrics(figures),
      ...processMetrics('process'),
    ];
    return reply.type(METRICS_TYPE).send(metricsText(metrics));
  });
}

/** Counts what is asked of `app` and of all that is registered after this. */
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

/** Every refusal says its name: to hosts that are to wait as to those who may not ask. */
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

/** Counting anew goes through the whole store, so a count that there is already is good enough. */
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

/** As it was last counted: a scrape makes nobody count. */
const counted = async (pages: MetricsWorld['pages']): Promise<Counted | undefined> => pages?.census.last();

const ASKS = {
  summary: 'Figures for Prometheus',
  tags: ['operators'],
  response: { 200: raw('Its text format', 'text/plain') },
};
