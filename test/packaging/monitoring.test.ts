/** The alerts and the dashboard that are shipped: they fire when they should, and every figure they name is really told. */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { agentMetrics } from '../../src/agent/metrics.ts';
import { COMMANDS } from '../../src/cli/commands.ts';
import { createFigures, figuresMetrics } from '../../src/server/figures/figures.ts';
import { expiryMetrics, lockMetrics, machineMetrics, rolloutMetrics } from '../../src/server/figures/fleet-metrics.ts';
import { emptyTally } from '../../src/server/fleet/census-tally.ts';
import { clockMetrics } from '../../src/server/fleet/clocks.ts';
import { etcdMetrics } from '../../src/server/store/etcd-condition.ts';
import { processMetrics } from '../../src/system/process/process-metrics.ts';
import { ALERT_CASES, type AlertCase } from '../support/alert-cases.ts';
import { temporaryFolder } from '../support/bundles.ts';
import { promtool } from '../support/promtool.ts';
import { IDLE } from '../support/scripted-agent.ts';

const FOLDER = join(import.meta.dirname, '../../packaging/monitoring');
const RULES = join(FOLDER, 'alerts.yml');
const rules = readFileSync(RULES, 'utf8');
const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name ?? '');

test('Prometheus can read the alerts', () => {
  assert.match(promtool(['check', 'rules', RULES]), new RegExp(`SUCCESS: ${alerts.length} rules found`));
});

test('every alert has figures at which it fires, and others at which it does not', () => {
  assert.deepEqual(new Set(ALERT_CASES.map(({ alert }) => alert)), new Set(alerts));
  for (const { quiet } of ALERT_CASES) assert.ok(quiet.length > 0);
});

type Series = AlertCase['fires'];

const inputs = (series: Series) =>
  Object.entries(series).map(([name, value]) => ({
    series: name,
    values: typeof value === 'number' ? `${value}+0x400` : value,
  }));

/** Runs promtool on the tests; an alert counts once for each set of labels. */
async function runs(tests: readonly object[]): Promise<string> {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'alerts.test.json');
  writeFileSync(path, JSON.stringify({ rule_files: [RULES], evaluation_interval: '15m', tests }));
  return promtool(['test', 'rules', path]);
}

const firing = ({ alert, after = 2 }: AlertCase, series: Series, many: number) => ({
  interval: '5m',
  name: alert,
  input_series: inputs(series),
  promql_expr_test: [
    {
      expr: `count(ALERTS{alertname="${alert}",alertstate="firing"}) or vector(0)`,
      eval_time: `${after}h`,
      exp_samples: [{ labels: '{}', value: many }],
    },
  ],
});

test('alerts fire when they should, once, and not just short of it', async () => {
  const tests = ALERT_CASES.flatMap((one) => [
    firing(one, one.fires, 1),
    ...one.quiet.map((series) => firing(one, series, 0)),
  ]);
  assert.match(await runs(tests), /SUCCESS/);
});

test('the test of an alert fails where the alert does not fire', async () => {
  const [one] = ALERT_CASES;
  assert.ok(one);
  await assert.rejects(runs([firing(one, one.fires, 0)]), /FAILED/);
});

test('what an alert says is filled in, whatever it is about', async () => {
  const tests = ALERT_CASES.map(({ alert, fires, after = 2 }) => {
    const rule = { eval_time: `${after}h`, alertname: alert, exp_alerts: [] };
    return { interval: '5m', input_series: inputs(fires), alert_rule_test: [rule] };
  });
  // Told to expect nothing, promtool shows all that it got.
  const told = await runs(tests).catch(String);
  assert.equal(told.match(/Annotations:\{/g)?.length, ALERT_CASES.length);
  assert.doesNotMatch(told, /error expanding|no value|%!|\{\{/);
});

test('every alert has a summary, a description and a runbook with a command', () => {
  const entries = rules.split(/- alert: /).slice(1);
  for (const entry of entries) {
    for (const part of ['summary', 'description', 'runbook'])
      assert.match(entry, new RegExp(`^ +${part}: ["'].+["']$`, 'm'), entry);
    assert.match(entry, /severity: (warning|critical)/);
    assert.match(entry.slice(entry.indexOf('runbook:')), /`[^`]+`|The log of the server/);
  }
});

test('the commands of the runbooks are commands of ours, with options that they have', async () => {
  const commands = new Map(await Promise.all(COMMANDS.map(async ({ name, load }) => [name, await load()] as const)));
  const asked = [...rules.matchAll(/`updatectl ([^`]+)`/g)].map(([, line]) => line ?? '');
  assert.ok(asked.length > 10);
  for (const line of asked) {
    const words = line.split(' ');
    const command = commands.get(words.slice(0, 2).join(' ')) ?? commands.get(words[0] ?? '');
    assert.ok(command, line);
    for (const option of line.match(/--[a-z-]+/g) ?? [])
      assert.ok(
        command.options?.some(({ flags }) => flags.split(/[ ,]/).includes(option)),
        `${line}: ${option}`,
      );
  }
});

type Query = Readonly<{ refId: string; expr: string; datasource: object }>;
type Shown = Readonly<{
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: Readonly<{ x: number; y: number; w: number; h: number }>;
  datasource?: object;
  fieldConfig?: Readonly<{ defaults: object; overrides: readonly object[] }>;
  options?: object;
  targets?: readonly Query[];
}>;
type Dashboard = Readonly<{
  uid: string;
  title: string;
  schemaVersion: number;
  graphTooltip: number;
  time: Readonly<{ from: string; to: string }>;
  templating: Readonly<{ list: readonly Readonly<{ name: string; type: string; query: unknown }>[] }>;
  panels: readonly Shown[];
}>;

const dashboard = JSON.parse(readFileSync(join(FOLDER, 'grafana.json'), 'utf8')) as Dashboard;
const queries = dashboard.panels.flatMap(({ targets = [] }) => targets);

test('the dashboard has what Grafana demands of one', () => {
  assert.match(dashboard.uid, /^[a-zA-Z0-9_-]{1,40}$/);
  assert.ok(Number.isInteger(dashboard.schemaVersion) && dashboard.schemaVersion >= 36);
  assert.ok([0, 1, 2].includes(dashboard.graphTooltip));
  assert.deepEqual(
    dashboard.templating.list.map(({ name }) => name),
    ['datasource', 'channel'],
  );
  assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
  assert.equal(new Set(dashboard.panels.map(({ title }) => title)).size, dashboard.panels.length);
  for (const { type, title, description, datasource, fieldConfig, options, targets } of dashboard.panels) {
    if (type === 'row') continue;
    assert.ok(['stat', 'timeseries', 'table'].includes(type), type);
    assert.ok(description && fieldConfig && options, title);
    assert.deepEqual(datasource, { type: 'prometheus', uid: '$datasource' });
    assert.ok(targets && targets.length > 0, title);
    assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length);
    for (const target of targets) assert.deepEqual(target.datasource, datasource);
  }
});

test('no panel of the dashboard lies over another or beside the page', () => {
  const taken = new Set<string>();
  for (const { title, gridPos } of dashboard.panels) {
    const { x, y, w, h } = gridPos;
    assert.ok(x >= 0 && w > 0 && x + w <= 24 && h > 0, title);
    for (let column = x; column < x + w; column += 1)
      for (let line = y; line < y + h; line += 1) {
        assert.ok(!taken.has(`${column} ${line}`), title);
        taken.add(`${column} ${line}`);
      }
  }
});

/** As Grafana fills them in. */
const filled = (expr: string): string =>
  expr.replaceAll('$__rate_interval', '5m').replaceAll('$channel', 'stable|edge');

test('Prometheus understands every query of the dashboard', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'queries.json');
  const asRules = queries.map(({ expr }, at) => ({ record: `query:${at}`, expr: filled(expr) }));
  writeFileSync(path, JSON.stringify({ groups: [{ name: 'queries', rules: asRules }] }));
  assert.match(promtool(['check', 'rules', path]), new RegExp(`SUCCESS: ${queries.length} rules found`));
  assert.doesNotMatch(asRules.map(({ expr }) => expr).join(), /\$/);
});

/** All that the server and the agent may tell, whether there is anything to tell now or not. */
function exported(): ReadonlySet<string> {
  const counted = { schema: 1, at: '2030-01-01T00:00:00Z', tookMs: 1, ...emptyTally() } as const;
  const now = new Date();
  const all = [
    ...agentMetrics(IDLE, []),
    ...processMetrics('tandem_agent'),
    ...machineMetrics(counted),
    ...rolloutMetrics([], now),
    ...lockMetrics([], now),
    ...expiryMetrics(new Map()),
    ...clockMetrics(0, true),
    ...etcdMetrics({ bytes: 1, quotaBytes: 2, isFilling: false, isUncompacted: false }),
    ...figuresMetrics(createFigures()),
    ...processMetrics('process'),
  ];
  return new Set([...all.map(({ name }) => name), 'tandem_machines', 'tandem_server_part_up']);
}

/** Prometheus' own, and node_exporter's. */
const OTHERS = ['up', 'node_textfile_mtime_seconds'];

const namesIn = (expr: string): readonly string[] =>
  [...expr.replace(/\{[^}]*\}/g, '{}').matchAll(/\b(?:tandem|process|node)_[a-z_]+\b|\bup\b/g)].map(([name]) => name);

test('every figure that an alert or the dashboard names is one that the server or an agent tells', () => {
  const known = exported();
  const exprs = [...queries.map(({ expr }) => expr), ...alertExpressions()];
  const named = new Set(exprs.flatMap(namesIn));
  assert.ok(named.size > 30);
  const unknown = [...named].filter(
    (name) => !known.has(name.replace(/_(?:bucket|sum|count)$/, '')) && !known.has(name),
  );
  assert.deepEqual(
    unknown.filter((name) => !OTHERS.includes(name)),
    [],
  );
  assert.deepEqual(namesIn('rate(tandem_x_total{code="tandem_y"}[5m]) > up'), ['tandem_x_total', 'up']);
});

test('the how-to explains every figure that the server or an agent tells', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/monitoring.md'), 'utf8');
  const ours = [...exported()].filter(
    (name) => name.startsWith('tandem_') && !/^tandem_agent_(process|nodejs)_/.test(name),
  );
  assert.ok(ours.length > 40);
  assert.deepEqual(
    ours.filter((name) => !page.includes(`\`${name.replace(/_(bucket|sum|count)$/, '')}\``)),
    [],
  );
});

test('the how-to names figures and alerts that there are, and all alerts', () => {
  const text = readFileSync(join(FOLDER, '../../docs/monitoring.md'), 'utf8');
  const known = exported();
  const named = [...text.matchAll(/\btandem_[a-z_]+\b/g)].map(([name]) => name);
  assert.ok(named.length > 30);
  assert.deepEqual(
    named.filter((name) => !known.has(name)),
    [],
  );
  assert.deepEqual(
    [...new Set([...text.matchAll(/`(Tandem\w+)`/g)].map(([, name]) => name))].toSorted(),
    alerts.toSorted(),
  );
});

/** Of each alert, in one line or several. */
const alertExpressions = (): readonly string[] =>
  [...rules.matchAll(/expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)/g)].map(([, lines, line]) => lines ?? line ?? '');

test('the expression of every alert is looked at', () => {
  assert.equal(alertExpressions().length, alerts.length);
  for (const expr of alertExpressions()) assert.ok(namesIn(expr).length > 0, expr);
});
