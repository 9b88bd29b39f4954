/** Figures for Prometheus, in its text format. */

import type { FastifyInstance } from 'fastify';
import type { Channels } from '../channels.ts';
import type { Fleet } from '../fleet.ts';
import { raw } from './answers.ts';

/** Check-ins since the server started, by what they were told. */
export type Counts = { go: number; hold: number };

export function metricsRoute(
  app: FastifyInstance,
  { fleet, channels, now }: Readonly<{ fleet: Fleet; channels(): Promise<Channels>; now(): Date }>,
  counts: Counts,
): void {
  app.get('/metrics', { schema: ASKS }, async (_request, reply) => {
    const rollouts = await Promise.all(
      [...(await channels()).keys()].map(async (channel) => ({ channel, ledger: await fleet.ledger(channel, now()) })),
    );
    const of = (value: (ledger: Awaited<ReturnType<Fleet['ledger']>>) => number) =>
      rollouts.map(({ channel, ledger }) => ({ label: `channel="${channel}"`, value: value(ledger) }));
    const lines = [
      ...metric('tandem_machines', 'gauge', 'Machines that have ever checked in.', [{ value: await fleet.count() }]),
      ...metric('tandem_check_ins_total', 'counter', 'Check-ins by what they were told.', [
        { label: 'answer="go"', value: counts.go },
        { label: 'answer="hold"', value: counts.hold },
      ]),
      ...metric(
        'tandem_rollout_in_flight',
        'gauge',
        'Machines that are taking the release now.',
        of((one) => one.inFlight.size),
      ),
      ...metric(
        'tandem_rollout_failed',
        'gauge',
        'Machines on which it failed.',
        of((one) => one.failed.size),
      ),
      ...metric(
        'tandem_rollout_updated',
        'gauge',
        'Machines that have it, since it began.',
        of((one) => one.updated),
      ),
      ...metric(
        'tandem_rollout_braked',
        'gauge',
        '1 when the brake was pulled.',
        of((one) => (one.braked ? 1 : 0)),
      ),
    ];
    return reply.type('text/plain; version=0.0.4').send(`${lines.join('\n')}\n`);
  });
}

const ASKS = {
  summary: 'Figures for Prometheus',
  tags: ['operators'],
  response: { 200: raw('Its text format', 'text/plain') },
};

const metric = (
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  values: readonly Readonly<{ label?: string; value: number }>[],
): string[] => [
  `# HELP ${name} ${help}`,
  `# TYPE ${name} ${type}`,
  ...values.map(({ label, value }) => `${name}${label === undefined ? '' : `{${label}}`} ${value}`),
];
