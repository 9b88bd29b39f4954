/** The Grafana dashboard, which `npm run docs` writes to grafana.json: panels and their queries. */

import { type Panel, placed, row, series, stat, table } from './panels.ts';

/** In the classic JSON model, which Grafana can import since version 9. */
export const dashboard = (): object => ({
  uid: 'tandem-fleet',
  title: 'Tandem: the fleet',
  description: 'Rollouts, locks, refusals and hosts of a fleet that Tandem updates.',
  tags: ['tandem'],
  schemaVersion: 39,
  version: 1,
  editable: true,
  graphTooltip: 1,
  timezone: 'browser',
  refresh: '1m',
  time: { from: 'now-24h', to: 'now' },
  links: [],
  annotations: { list: [] },
  templating: { list: [DATASOURCE, CHANNEL] },
  panels: placed([...FLEET, ...SERVER, ...HOSTS]),
});

const shared = { hide: 0, options: [] };
const DATASOURCE = {
  ...shared,
  name: 'datasource',
  label: 'Prometheus',
  type: 'datasource',
  query: 'prometheus',
  refresh: 1,
  includeAll: false,
  multi: false,
};
const CHANNELS = 'label_values(tandem_rollout_info, channel)';
const CHANNEL = {
  ...shared,
  name: 'channel',
  label: 'Channel',
  type: 'query',
  datasource: { type: 'prometheus', uid: '$datasource' },
  query: { query: CHANNELS, refId: 'channels' },
  refresh: 2,
  sort: 1,
  includeAll: true,
  multi: true,
  current: { text: ['All'], value: ['$__all'] },
};

/** Servers that share an etcd report the same fleet metrics: one of them is enough. */
const byChannel = (name: string): string => `max by (channel) (tandem_rollout_${name}{channel=~"$channel"})`;
const rate = (name: string): string => `rate(${name}[$__rate_interval])`;
const slowest = (name: string, by: string): string =>
  `histogram_quantile(0.99, sum by (le, ${by}) (${rate(`${name}_bucket`)}))`;

const FLEET: readonly Panel[] = [
  row('Fleet'),
  stat('Machines', 'Machines that have ever checked in.', 'max(tandem_machines)'),
  stat('Silent for a day', 'Machines that have not checked in for a day.', 'max(tandem_machines_silent)', {
    orange: 1,
  }),
  stat(
    'Stopped rollouts',
    'Channels whose brake was pulled, by failures or by hand.',
    'sum(max by (channel) (tandem_rollout_braked)) or vector(0)',
    { red: 1 },
  ),
  stat(
    'Overdue with the lock',
    'Hosts that should be back from their reboot.',
    'sum(max by (group) (tandem_lock_late)) or vector(0)',
    { red: 1 },
  ),
  stat(
    'Metadata expires in',
    'The first role to expire; hosts refuse an expired repository.',
    'min(tandem_repository_expires_timestamp_seconds) - time()',
    { orange: 12 * 3600, green: 24 * 3600 },
    { unit: 's', lowest: 'red' },
  ),
  stat(
    'Servers up',
    'According to Prometheus.',
    'sum(up{job="tandem-server"})',
    { green: 1 },
    { unit: 'short', lowest: 'red' },
  ),
  series(
    'Machines by version',
    'At the last count; the server counts every five minutes.',
    {
      '{{version}}': 'sum by (version) (max without (instance) (tandem_machines_by_version{channel=~"$channel"}))',
    },
    { stacked: true },
  ),
  series('Rollouts against their plans', 'Machines that run the release on offer; dashed: the planned number.', {
    '{{channel}}': byChannel('done'),
    '{{channel}}, planned': byChannel('planned'),
  }),
  series(
    'Under way',
    'Hosts that are installing the release; dashed: the limit.',
    {
      '{{channel}}': byChannel('in_flight'),
      '{{channel}}, at most': byChannel('max_in_flight'),
    },
    { width: 8 },
  ),
  series(
    'Failed',
    'Hosts on which the release failed; more than the dashed limit pull the brake.',
    {
      '{{channel}}': byChannel('failed'),
      '{{channel}}, at most': byChannel('max_failures'),
    },
    { width: 8 },
  ),
  series(
    'Locks held',
    'By group; dashed: the limit.',
    {
      '{{group}}': 'max by (group) (tandem_lock_held)',
      '{{group}}, at most': 'max by (group) (tandem_lock_max)',
    },
    { width: 8 },
  ),
  table(
    'Failures by code',
    'Machines whose last attempt failed.',
    'sum by (version, code) (max without (instance) (tandem_machines_failed))',
  ),
  table(
    'The oldest holder of each lock',
    'Time since it took the lock.',
    'max by (group) (tandem_lock_oldest_holder_age_seconds) > 0',
    { unit: 's' },
  ),
];

const SERVER: readonly Panel[] = [
  row('Servers'),
  series(
    'Check-ins',
    'By answer, and those allowed to begin.',
    {
      '{{answer}}': `sum by (answer) (${rate('tandem_check_ins_total')})`,
      'allowed to begin': `sum(${rate('tandem_offers_total')})`,
    },
    { unit: 'reqps' },
  ),
  series(
    'Refusals by code',
    'Holds, taken locks, and rejected requests.',
    {
      '{{code}}': `sum by (code) (${rate('tandem_refusals_total')})`,
    },
    { unit: 'reqps', stacked: true },
  ),
  series(
    'Requests by status',
    'All routes together.',
    { '{{status}}': `sum by (status) (${rate('tandem_http_requests_total')})` },
    { unit: 'reqps', width: 8 },
  ),
  series(
    'Time to answer',
    '99th percentile, by route.',
    { '{{route}}': slowest('tandem_http_request_seconds', 'route') },
    { unit: 's', width: 8 },
  ),
  series(
    'Time in the store',
    '99th percentile, by operation.',
    { '{{operation}}': slowest('tandem_store_seconds', 'operation') },
    { unit: 's', width: 8 },
  ),
  series(
    'Store failures',
    'By operation.',
    { '{{operation}}': `sum by (operation) (${rate('tandem_store_failures_total')})` },
    { unit: 'ops', width: 8 },
  ),
  series(
    'CPU usage',
    'By server, in processors.',
    { '{{instance}}': rate('process_cpu_seconds_total{job="tandem-server"}') },
    { unit: 'none', width: 8 },
  ),
  series(
    'Memory',
    'By server.',
    { '{{instance}}': 'process_resident_memory_bytes{job="tandem-server"}' },
    { unit: 'bytes', width: 8 },
  ),
];

const HOSTS: readonly Panel[] = [
  row('Hosts, as reported by their agents'),
  series(
    'Hosts by state',
    'All states but idle and staged are transient.',
    { '{{state}}': 'sum by (state) (tandem_agent_state)' },
    { stacked: true },
  ),
  series(
    'Hosts by running version',
    'As reported by the hosts.',
    { '{{version}}': 'count by (version) (tandem_agent_booted_info)' },
    { stacked: true },
  ),
  series(
    'Obstacles',
    'Hosts by the code of their refusal or wait.',
    { '{{what}}: {{code}}': 'sum by (what, code) (tandem_agent_refusal)' },
    { stacked: true },
  ),
  table(
    'Longest without a successful check',
    'The ten worst hosts.',
    'topk(10, time() - tandem_agent_last_good_check_timestamp_seconds)',
    { unit: 's' },
  ),
  series(
    'Downtime of the last restart',
    'Median and 90th percentile.',
    {
      median: 'quantile(0.5, tandem_agent_last_downtime_seconds)',
      '90th percentile': 'quantile(0.9, tandem_agent_last_downtime_seconds)',
    },
    { unit: 's', width: 8 },
  ),
  series(
    'Bytes of the last installs',
    'Downloaded, copied from the running system, and found in place.',
    { '{{how}}': 'sum by (how) (tandem_agent_transfer_bytes)' },
    { unit: 'bytes', stacked: true, width: 8 },
  ),
  series(
    'Restarts in the histories',
    'By method.',
    { '{{method}}': 'sum by (method) (tandem_agent_restarts)' },
    { width: 8 },
  ),
];
