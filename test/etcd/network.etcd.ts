/** What becomes of the lock when the network between the members, or to them, drops packets and tells nobody. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lockView } from '../../src/reboot/gates/locks/etcd-operator.ts';
import { refusalOf } from '../support/command-line.ts';
import { EtcdCluster } from '../support/etcd-cluster.ts';
import { testHttp } from '../support/http-client.ts';
import { etcdOf, lockOf } from '../support/lock-hosts.ts';
import { Network } from '../support/network.ts';

test('a leader that is cut off from the others grants nothing and shows nothing, while they go on', async () => {
  using network = Network.create(3);
  await using cluster = await EtcdCluster.start({ network });
  const leader = await cluster.leader();
  const others = [0, 1, 2].filter((index) => index !== leader);
  const alone = { endpoints: cluster.endpoints.slice(leader, leader + 1), timeoutMs: 2_000 };
  const majority = { endpoints: others.map((index) => cluster.endpoints[index] ?? ''), timeoutMs: 10_000 };
  for (const other of others) network.cut(leader, other);
  await cluster.ready(others[0]);
  assert.ok((await lockOf(1, majority).take('x')).ok);
  assert.equal(await refusalOf(lockOf(2, alone).take('x')), 'etcd-unavailable');
  assert.equal(await refusalOf(lockView(etcdOf(alone), 'default')), 'etcd-unavailable');
  for (const other of others) network.heal(leader, other);
  await cluster.ready(leader);
  const late = await lockOf(2, { ...alone, timeoutMs: 10_000 }).take('x');
  assert.equal(late.ok ? '' : late.code, 'lock-full');
  const view = await lockView(etcdOf({ ...alone, timeoutMs: 10_000 }), 'default');
  assert.deepEqual(
    view?.holders.map(({ name }) => name),
    ['host-1'],
  );
});

test('a connection that is dead without having been closed costs one time-out, and the lock is still ours', async () => {
  using network = Network.create(3);
  await using cluster = await EtcdCluster.start({ network });
  const first = ((await cluster.leader()) + 1) % 3;
  const endpoints = [0, 1, 2].map((step) => cluster.endpoints[(first + step) % 3] ?? '');
  const asked: string[] = [];
  const http = testHttp();
  const listening = {
    post: (...[url, request]: Parameters<typeof http.post>) => {
      asked.push(new URL(url).host);
      return http.post(url, request);
    },
  };
  const host = lockOf(1, { endpoints, timeoutMs: 1_500, http: listening });
  assert.ok((await host.take('x')).ok);
  assert.deepEqual([...new Set(asked)], [new URL(endpoints[0] ?? '').host]);
  network.plug(first, false);
  await host.begin();
  assert.ok(new Set(asked).size > 1);
  await host.giveBack({});
  network.plug(first, true);
  const view = await lockView(etcdOf({ endpoints, timeoutMs: 10_000 }), 'default');
  assert.deepEqual(view?.holders, []);
});
