/** The history of a real etcd does not fill it where all in it is ours; where others' keys are there, it is said long before it is full. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Context } from '../../src/cli/command.ts';
import { etcdHealth } from '../../src/cli/doctor/etcd.ts';
import { resolveSound } from '../../src/config/config.ts';
import { metricsText } from '../../src/formats/metrics-text.ts';
import { createFleet } from '../../src/server/fleet/fleet.ts';
import { etcdStore } from '../../src/server/store/etcd.ts';
import { etcdCondition, watchEtcd } from '../../src/server/store/etcd-condition.ts';
import { createHistory } from '../../src/server/store/etcd-history.ts';
import { realClock } from '../../src/system/clock.ts';
import { realFiles } from '../../src/system/files.ts';
import { logTo } from '../../src/system/log.ts';
import { realRandom } from '../../src/system/random.ts';
import { checkInOf } from '../support/check-in-line.ts';
import { refusalOf } from '../support/command-line.ts';
import { EtcdCluster } from '../support/etcd-cluster.ts';
import { testHttp } from '../support/http-client.ts';
import { etcdOf } from '../support/lock-hosts.ts';
import { ServerProcess } from '../support/server-process.ts';
import { TestRepository } from '../support/tuf-repository.ts';

const QUOTA = 8 * 1024 * 1024;
const PREFIX = 'tandem/fleet/v1';
const small = () => EtcdCluster.start({ members: 1, args: ['--quota-backend-bytes', String(QUOTA)] });

function fleetAt(cluster: EtcdCluster, options: Readonly<{ compacts?: boolean }> = {}) {
  const etcd = etcdOf({ endpoints: cluster.endpoints, http: testHttp(), timeoutMs: 5_000 });
  const history = createHistory({ etcd, clock: realClock, prefix: PREFIX });
  const wrote = options.compacts === false ? () => {} : history.wrote;
  const store = etcdStore({ etcd, clock: realClock, random: realRandom, prefix: PREFIX, wrote });
  const fleet = createFleet(store, async () => undefined);
  const checkIn = async (round: number): Promise<void> => {
    const at = new Date(Date.parse('2030-01-01T00:00:00Z') + round * 60_000);
    await Promise.all(Array.from({ length: 200 }, (_, host) => fleet.checkIn(checkInOf(host), at)));
  };
  return { etcd, history, store, checkIn };
}

test('an etcd that is ours alone is not filled by twice the check-ins that would fill it', async (t) => {
  await using cluster = await small();
  const { etcd, history, store, checkIn } = fleetAt(cluster);
  let most = 0;
  for (let round = 0; round < 100; round++) {
    await checkIn(round);
    if (round % 10 === 0) most = Math.max(most, ...(await etcd.sizes()).map(({ bytes }) => bytes));
  }
  await history.settled();
  t.diagnostic(`20,000 check-ins: at most ${most} bytes of ${QUOTA}`);
  assert.ok(most < QUOTA / 2 && most > 0, String(most));
  assert.equal(await etcd.remembers(`${PREFIX}/schema`, '2'), false);
  assert.equal(await store.count('machine'), 200);
  const condition = await etcdCondition({ etcd, key: `${PREFIX}/schema`, isOurs: history.isOurs });
  assert.deepEqual({ ...condition, bytes: 0 }, { bytes: 0, quotaBytes: QUOTA, isFilling: false, isUncompacted: false });
});

test('where keys of others are in etcd nothing of theirs is thrown away, and that it fills is said before it is full', async () => {
  await using cluster = await small();
  await cluster.ctl(['put', 'registry/pods', 'of somebody else']);
  const { etcd, history, checkIn } = fleetAt(cluster);
  const lines: { code?: string; msg: string }[] = [];
  const log = logTo((line) => void lines.push(JSON.parse(line)));
  const watch = watchEtcd({ etcd, key: `${PREFIX}/schema`, isOurs: history.isOurs }, log);
  await watch.look();
  assert.deepEqual([await history.isOurs(), lines], [false, []]);
  let round = 0;
  for (; !lines.some(({ code }) => code === 'etcd-filling'); round++) {
    await checkIn(round);
    await watch.look();
  }
  await watch.look();
  assert.deepEqual(lines.map(({ code }) => code).toSorted(), ['etcd-filling', 'etcd-uncompacted'], 'each is said once');
  assert.equal(await etcd.remembers('registry/pods', '2'), true, 'the history is whole');
  assert.match(metricsText(watch.metrics()), /^tandem_etcd_uncompacted 1$/m);
  for (let more = 0; more < 3; more++) await checkIn(round + more);
  await cluster.ctl(['del', 'registry/pods']);
  await history.settled();
  assert.equal(await history.isOurs(), true);
});

test('doctor tells of the etcd of a host that nobody compacts, that fills, and that is well', async () => {
  await using cluster = await small();
  const text = `lock.kind = "etcd"\nlock.endpoints = ${JSON.stringify(cluster.endpoints)}\n`;
  const world = {
    files: realFiles,
    clock: realClock,
    random: realRandom,
    version: '0',
    signal: new AbortController().signal,
  };
  const found = async (config: string) =>
    (await etcdHealth(world as unknown as Context, resolveSound([{ path: 'site.toml', text: config }]))).result;
  assert.deepEqual([await found(text), await found('')], ['ok', 'ok']);
  const { checkIn } = fleetAt(cluster, { compacts: false });
  const seen = new Set<string>();
  for (let round = 0; !seen.has('fail'); round++) {
    await checkIn(round);
    seen.add(await found(text));
  }
  assert.deepEqual([...seen], ['ok', 'warn', 'fail']);
});

test('who may see our keys alone takes etcd for somebody else’s, until it is told otherwise', async () => {
  await using cluster = await EtcdCluster.start({ members: 1, flags: [] });
  for (const line of [
    'user add root:pw',
    'user grant-role root root',
    'user add server:pw',
    'role add r',
    'role grant-permission r --prefix=true readwrite tandem/',
    'user grant-role server r',
    'auth enable',
  ])
    await cluster.ctl(line.split(' '));
  const login = { user: 'server', password: 'pw' };
  const etcd = etcdOf({ endpoints: cluster.endpoints, http: testHttp(), timeoutMs: 5_000, login });
  const options = { etcd, clock: realClock, prefix: PREFIX };
  assert.equal(await createHistory(options).isOurs(), undefined);
  assert.equal(await createHistory({ ...options, isOurs: true }).isOurs(), true);
  const put = (value: string) => etcd.txn({ ops: [{ put: `${PREFIX}/a`, value: Buffer.from(value) }] });
  const { revision } = await put('1');
  await put('2');
  await etcd.compact(revision);
  await etcd.compact(revision);
  assert.equal(await etcd.remembers(`${PREFIX}/a`, revision), true);
  const [size] = await etcd.sizes();
  assert.equal(size?.quotaBytes, 2 * 1024 ** 3);
});

test('while a full etcd refuses check-ins the server is not healthy, its log says so once, and it goes on by itself', async () => {
  await using cluster = await small();
  await cluster.ctl(['put', 'registry/pods', 'of somebody else']);
  using repository = await new TestRepository().init();
  await using server = await ServerProcess.start(
    ['--repository', repository.dir, ...cluster.endpoints.flatMap((one) => ['--etcd', one])],
    { TANDEM_LOG_FORMAT: 'json' },
  );
  const health = async () => (await fetch(`${server.url}/healthz`)).status;
  const ask = async (host: number) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${server.url}/v1/check-in`, {
      method: 'POST',
      headers,
      body: JSON.stringify(checkInOf(host)),
    });
    return [answer.status, ((await answer.json()) as { code?: string }).code];
  };
  assert.deepEqual([await health(), await ask(0)], [200, [200, undefined]]);
  const { etcd, checkIn } = fleetAt(cluster, { compacts: false });
  let failure = 'none';
  for (let round = 0; failure === 'none'; round++) failure = await refusalOf(checkIn(round));
  assert.equal(failure, 'etcd-full');
  for (let times = 0; times < 100; times++) assert.deepEqual(await ask(times), [503, 'etcd-full']);
  assert.equal(await health(), 503);
  const outages = server.said.split('\n').filter((line) => line.includes('"etcd-full"'));
  assert.equal(outages.length, 1, server.said);
  const [size] = await etcd.sizes();
  assert.equal(size?.isFull, true);
  await etcd.compact(size?.revision ?? '');
  await cluster.ctl(['defrag']);
  await cluster.ctl(['alarm', 'disarm']);
  assert.deepEqual(await ask(0), [200, undefined]);
  // An answer about its health is good for a second.
  while ((await health()) !== 200) await new Promise((resolve) => setTimeout(resolve, 100));
});
