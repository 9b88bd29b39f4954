/** The figures of the server: right, named after what they count, bounded whatever machines say, and there in an outage. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import Fastify from 'fastify';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import { metricsText } from '../../src/formats/metrics-text.ts';
import { ADMISSION_CODES } from '../../src/rollout/brake.ts';
import { HOLD_CODES } from '../../src/rollout/rollout.ts';
import { digestOf } from '../../src/server/access/tokens.ts';
import { createCounter, createTimer } from '../../src/server/figures/counters.ts';
import { createFigures, figuresMetrics, measuredStore } from '../../src/server/figures/figures.ts';
import { lockMetrics } from '../../src/server/figures/fleet-metrics.ts';
import type { ShownLock } from '../../src/server/fleet/reboot-locks.ts';
import { fleetLock, plain } from '../../src/server/http/refusals.ts';
import { LOCK_KINDS } from '../../src/server/http/routes/lock.ts';
import { countRequests } from '../../src/server/http/routes/metrics.ts';
import { sqliteStore } from '../../src/server/store/sqlite.ts';
import type { Store } from '../../src/server/store/store.ts';
import { openDatabase } from '../../src/system/sqlite.ts';
import { temporaryFolder } from '../support/bundles.ts';
import { startFleetApp } from '../support/fleet-app.ts';
import { checkMetrics, seriesOf } from '../support/promtool.ts';
import { idOf, NOW, TestFleet, TOKEN } from './pages/fleet.ts';
import { storeContract } from './store-contract.ts';

const MACHINES = 660;

let site: TestFleet;
before(async () => {
  site = await (await (await new TestFleet().fill(MACHINES)).disturb()).start();
  await site.census.latest();
});
after(() => site[Symbol.asyncDispose]());

const ask = (path: string, options: RequestInit = {}) =>
  fetch(`${site.url}${path}`, { ...options, headers: { authorization: `Bearer ${TOKEN}`, ...options.headers } });
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  ask(path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
const figures = async () => seriesOf(await (await ask('/metrics')).text());

const checkIn = (number: number, more: object) => ({
  ...{ schema: 1, machine: idOf(number), group: 'web', product: 'acme', channel: 'stable', agent: '0.1.0' },
  ...{ running: { version: '2.0.3', counter: 20 }, confirmed: true, state: 'idle', since: NOW.toISOString() },
  ...more,
});

test('Prometheus reads the page', async () => {
  const answer = await ask('/metrics');
  assert.match(answer.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  checkMetrics(await answer.text());
});

test('a rollout is told beside its plan and its limits', async () => {
  const told = await figures();
  const of = (name: string) => told.get(`tandem_rollout_${name}{channel="stable"}`);
  assert.equal(of('in_flight'), 3);
  assert.equal(of('max_in_flight'), 25);
  assert.equal(of('failed'), 3);
  assert.equal(of('max_failures'), 5);
  assert.equal(of('braked'), 0);
  assert.equal(of('paused'), 0);
  assert.equal(of('updated'), 300);
  assert.equal(of('started_timestamp_seconds'), Date.parse('2030-01-01T12:00:00Z') / 1000);
  const [machines = 0, planned = 0, done = 0] = [of('machines'), of('planned'), of('done')];
  assert.ok(machines > planned && planned > 0 && done > 0, `${done} of ${planned} of ${machines}`);
  assert.equal(told.get('tandem_rollout_info{channel="stable",version="2.1.0"}'), 1);
  assert.equal(told.has('tandem_rollout_max_in_flight{channel="edge"}'), false);
});

test('every machine is in one version, one state and one group', async () => {
  const told = await figures();
  assert.equal(told.get('tandem_machines'), MACHINES);
  for (const part of ['version', 'state', 'group']) {
    const all = [...told].filter(([name]) => name.startsWith(`tandem_machines_by_${part}{`));
    assert.ok(all.length > 1);
    assert.equal(
      all.reduce((sum, [, value]) => sum + value, 0),
      MACHINES,
      part,
    );
  }
  assert.ok((told.get('tandem_machines_failed{version="2.1.0",code="probe-failed"}') ?? 0) > 10);
  assert.ok((told.get('tandem_machines_silent') ?? 0) > 0);
});

test('locks are told by group: how many, how many late, and how old the oldest is', async () => {
  const told = await figures();
  assert.equal(told.get('tandem_lock_max{group="web"}'), 2);
  assert.equal(told.get('tandem_lock_held{group="web"}'), 2);
  assert.equal(told.get('tandem_lock_late{group="web"}'), 0);
  assert.equal(told.get('tandem_lock_oldest_holder_age_seconds{group="web"}'), 7 * 60);
  assert.equal(told.get('tandem_lock_late{group="db"}'), 1);
  assert.equal(told.get('tandem_lock_oldest_holder_age_seconds{group="db"}'), 2 * 3600);
});

test('refusals are counted by the name that the host was told: holds, locks, and what may not be asked', async () => {
  const before = await figures();
  const grown = async (series: string) => ((await figures()).get(series) ?? 0) - (before.get(series) ?? 0);
  const refusals = (code: string) => grown(`tandem_refusals_total{code="${code}"}`);
  assert.equal((await post('/v1/check-in', checkIn(4, { group: 'canary', wants: '2.1.0' }))).status, 200);
  assert.equal(await refusals('failed-here'), 1);
  await post('/v1/check-in', checkIn(7000, { group: 'canary', wants: '3.0' }));
  assert.equal(await refusals('not-on-offer'), 1);
  const who = { client_params: { id: idOf(9000), group: 'db' } };
  for (let at = 0; at < 2; at += 1) await post('/v1/pre-reboot', who, { 'fleet-lock-protocol': 'true' });
  assert.equal(await refusals('lock-failures'), 2);
  await ask('/v1/machines', { headers: { authorization: 'Bearer wrong' } });
  assert.equal(await refusals('denied'), 1);
  assert.equal(await grown('tandem_check_ins_total{answer="hold"}'), 2);
  assert.equal(await grown('tandem_http_requests_total{method="POST",route="/v1/pre-reboot",status="409"}'), 2);
});

test('every name by which a server may refuse is counted as such, however it is worded', async () => {
  const worded = [
    ...[...HOLD_CODES, ...ADMISSION_CODES].map((code) => ({
      code,
      status: 200,
      answer: { schema: 1, go: false, code },
    })),
    ...Object.keys(ERRORS).map((code) => ({ code, status: 409, answer: plain(code as ErrorCode) })),
    ...Object.keys(ERRORS).map((code) => ({ code, status: 401, answer: fleetLock(code as ErrorCode) })),
    ...Object.entries(LOCK_KINDS).map(([code, kind]) => ({ code, status: 409, answer: { kind, value: 'r' } })),
  ];
  for (const { code, status, answer } of worded) {
    const figures = createFigures();
    await using app = Fastify();
    countRequests(app, figures);
    app.get('/', async (_request, reply) => reply.code(status).send(answer));
    await app.inject({ url: '/' });
    assert.deepEqual(figures.refusals.samples(), [{ labels: { code }, value: 1 }]);
  }
});

test('an answer that is none is no refusal', async () => {
  const figures = createFigures();
  await using app = Fastify();
  countRequests(app, figures);
  app.get('/', async () => ({ schema: 1, go: true, code: 'not-one', kind: 'neither' }));
  await app.inject({ url: '/' });
  assert.deepEqual(figures.refusals.samples(), []);
});

test('a host that is told to begin is an offer, one that only says that it is there is none', async () => {
  const before = await figures();
  const grown = async (series: string) => ((await figures()).get(series) ?? 0) - (before.get(series) ?? 0);
  await post('/v1/check-in', checkIn(1, {}));
  assert.equal(await grown('tandem_offers_total'), 0);
  await post('/v1/check-in', checkIn(1, { group: 'canary', wants: '2.1.0' }));
  assert.equal(await grown('tandem_offers_total'), 1);
  assert.equal(await grown('tandem_check_ins_total{answer="go"}'), 2);
});

test('what may happen is told before it has, so that its first time is seen', () => {
  const told = seriesOf(metricsText(figuresMetrics(createFigures())));
  assert.equal(told.get('tandem_check_ins_total{answer="hold"}'), 0);
  assert.equal(told.get('tandem_offers_total'), 0);
  assert.equal(told.get('tandem_store_failures_total{operation="update"}'), 0);
});

test('addresses that nobody has are one series, not one each', async () => {
  for (let at = 0; at < 50; at += 1) await ask(`/nothing/${at}`);
  const routes = [...(await figures()).keys()].filter((name) => name.includes('status="404"'));
  assert.deepEqual(routes, ['tandem_http_requests_total{method="GET",route="none",status="404"}']);
});

test('a scrape makes nobody count the fleet', async () => {
  const counted = (await figures()).get('tandem_machines_counted_timestamp_seconds');
  site.now = new Date(NOW.getTime() + 3_600_000);
  await figures();
  assert.equal((await figures()).get('tandem_machines_counted_timestamp_seconds'), counted);
  site.now = NOW;
});

test('a store that is away costs its figures and no others, and says so', async () => {
  await using folder = await temporaryFolder();
  const figures = createFigures();
  await using real = sqliteStore(openDatabase(join(folder.path, 'fleet.db'), { durable: false }));
  let isAway = false;
  const store = { ...real, ...storeThat(() => (isAway ? assert.fail('the store is away') : real)) };
  await using app = await startFleetApp({
    store: measuredStore(store, figures, () => 0),
    tokens: { operator: digestOf(TOKEN) },
  });
  const scrape = () => fetch(`${app.url}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } });
  assert.equal(seriesOf(await (await scrape()).text()).get('tandem_server_part_up{part="machines"}'), 1);
  isAway = true;
  const page = await (await scrape()).text();
  checkMetrics(page);
  const told = seriesOf(page);
  assert.equal(told.get('tandem_server_part_up{part="machines"}'), 0);
  assert.equal(told.get('tandem_server_part_up{part="locks"}'), 0);
  assert.equal(told.get('tandem_server_part_up{part="repository"}'), 1);
  assert.ok((told.get('process_cpu_seconds_total') ?? 0) > 0);
  const failures = seriesOf(metricsText(figuresMetrics(figures)));
  assert.equal(failures.get('tandem_store_failures_total{operation="count"}'), 1);
});

/** Asks each time which store it is. */
const storeThat = (store: () => Store): Omit<Store, typeof Symbol.asyncDispose> => ({
  read: async (key) => store().read(key),
  list: async (kind, limit, after) => store().list(kind, limit, after),
  count: async (kind) => store().count(kind),
  update: async (keys, change) => store().update(keys, change),
});

test('what the store takes is measured, whether it works or not', async () => {
  const figures = createFigures();
  let clock = 0;
  const slow = async (): Promise<never> => {
    clock += 2000;
    throw new Error('no');
  };
  const store = measuredStore({ read: slow } as unknown as Store, figures, () => clock);
  await assert.rejects(store.read({ kind: 'a', id: 'b' }), /no/);
  const told = seriesOf(metricsText(figuresMetrics(figures)));
  assert.equal(told.get('tandem_store_seconds_sum{operation="read"}'), 2);
  assert.equal(told.get('tandem_store_seconds_bucket{operation="read",le="1"}'), 0);
  assert.equal(told.get('tandem_store_seconds_bucket{operation="read",le="2.5"}'), 1);
});

storeContract('sqlite with a watch beside it', async () => {
  const folder = await temporaryFolder();
  const open = async () => sqliteStore(openDatabase(`${folder.path}/fleet.db`, { durable: false }));
  return {
    open: async () => measuredStore(await open(), createFigures(), () => 0),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
});

test('whatever is counted, the series are bounded and none is lost', () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { maxLength: 200 }), fc.integer({ min: 1, max: 20 }), (names, most) => {
      const counter = createCounter(most);
      const timer = createTimer(most);
      for (const name of names) {
        counter.add({ name });
        timer.took({ name }, name.length);
      }
      assert.ok(counter.samples().length <= most + 1);
      assert.equal(
        counter.samples().reduce((sum, { value }) => sum + value, 0),
        names.length,
      );
      const many = timer
        .samples()
        .flatMap(({ counts }) => counts)
        .reduce((sum, one) => sum + one, 0);
      assert.equal(many, names.length);
      assert.equal(new Set(counter.samples().map(({ labels }) => labels?.['name'])).size, counter.samples().length);
    }),
  );
});

test('a thousand groups are sixty series and the rest, and the oldest of the rest is told', () => {
  const lock = (at: number): ShownLock => {
    const since = new Date(NOW.getTime() - at * 1000).toISOString();
    return {
      group: at === 70 ? 'others' : `g${at}`,
      max: 1,
      maxFailures: 0,
      free: 0,
      failures: [],
      holders: [{ since, late: true }],
    } as never;
  };
  const page = metricsText(
    lockMetrics(
      Array.from({ length: 1000 }, (_, at) => lock(at)),
      NOW,
    ),
  );
  checkMetrics(page);
  const told = seriesOf(page);
  assert.equal([...told.keys()].filter((name) => name.startsWith('tandem_lock_held')).length, 61);
  assert.equal(told.get('tandem_lock_held{group="others"}'), 940);
  assert.equal(told.get('tandem_lock_oldest_holder_age_seconds{group="others"}'), 999);
});
