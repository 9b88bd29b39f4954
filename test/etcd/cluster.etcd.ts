/** What becomes of the lock when etcd itself fails: members that die, freeze, fill up, or do not let a host in. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { lockView } from '../../src/reboot/gates/locks/etcd-operator.ts';
import { temporaryFolder } from '../support/bundles.ts';
import { refusalOf } from '../support/command-line.ts';
import { EtcdCluster } from '../support/etcd-cluster.ts';
import { testHttp } from '../support/http-client.ts';
import { etcdOf, lockOf } from '../support/lock-hosts.ts';
import { memberOf } from '../support/lock-model.ts';
import { makeTlsFiles } from '../support/tls-files.ts';

test('without etcd nobody is granted the lock, and nothing is given back that was not seen to be', async () => {
  await using cluster = await EtcdCluster.start({ members: 1 });
  const host = lockOf(1, cluster);
  assert.ok((await host.take('x')).ok);
  await host.begin();
  await cluster.kill(0);
  for (const attempt of [() => lockOf(2, cluster).take('x'), () => host.begin(), () => host.giveBack({})])
    assert.equal(await refusalOf(attempt()), 'etcd-unavailable');
  cluster.launch(0);
  await cluster.ready();
  assert.equal((await lockOf(2, cluster).take('x')).ok, false, 'the holder is remembered');
  await host.giveBack({});
  assert.deepEqual((await lockView(etcdOf(cluster), 'default'))?.holders, []);
});

test('a member that has lost the majority grants nothing and shows nothing', async () => {
  await using cluster = await EtcdCluster.start();
  const alone = { endpoints: cluster.endpoints.slice(0, 1) };
  const host = lockOf(1, alone);
  assert.ok((await host.take('x')).ok);
  cluster.freeze(1);
  cluster.freeze(2);
  assert.equal(await refusalOf(host.begin()), 'etcd-unavailable');
  assert.equal(await refusalOf(lockOf(2, alone).take('x')), 'etcd-unavailable');
  assert.equal(await refusalOf(lockView(etcdOf(alone), 'default')), 'etcd-unavailable');
  cluster.thaw(1);
  cluster.thaw(2);
  await cluster.ready();
  await host.begin();
});

test('a member that takes connections and never answers costs one time-out, then the next one is asked', async () => {
  await using cluster = await EtcdCluster.start();
  const host = lockOf(1, { endpoints: cluster.endpoints, timeoutMs: 700 });
  const leader = await cluster.leader();
  const frozen = (leader + 1) % 3;
  cluster.freeze(frozen);
  const order = [cluster.endpoints[frozen], ...cluster.endpoints.filter((_, index) => index !== frozen)];
  const endpoints = order.filter((one) => one !== undefined);
  assert.ok((await lockOf(1, { endpoints, timeoutMs: 700 }).take('x')).ok);
  await host.begin();
});

test('the leader is killed, and killed again: holders keep what they hold, those who wait keep their order', async () => {
  await using cluster = await EtcdCluster.start();
  const host = (index: number) => lockOf(index, { endpoints: cluster.endpoints, timeoutMs: 3_000 });
  assert.ok((await host(1).take('x')).ok);
  await host(2).take('x');
  await host(3).take('x');
  for (let round = 0; round < 2; round++) {
    const leader = await cluster.leader();
    await cluster.kill(leader);
    await cluster.ready();
    if (round === 0) await host(1).begin();
    cluster.launch(leader, 'existing');
    await cluster.ready(leader);
  }
  assert.equal((await host(3).take('x')).ok, false);
  await host(1).giveBack({});
  const answer = await host(3).take('x');
  assert.equal(answer.ok ? '' : answer.code, 'lock-turn');
  assert.ok((await host(2).take('x')).ok);
});

test('a leader that freezes until leases have ended frees nobody who reboots, and no more than the size hold the lock', async () => {
  await using cluster = await EtcdCluster.start();
  const host = (index: number) => lockOf(index, { endpoints: cluster.endpoints, max: 2, leaseSeconds: 1 });
  const [rebooting, waiting] = [host(1), host(2)];
  await rebooting.take('x');
  await rebooting.begin();
  assert.ok((await waiting.take('x')).ok);
  const leader = await cluster.leader();
  cluster.freeze(leader);
  await cluster.ready((leader + 1) % 3);
  // The lease of the one that waits ends under the new leader; the old one wakes up with its own idea of time.
  // A new leader gives every lease its full time again, so how long it takes is etcd's to say.
  let third = await host(3).take('x');
  for (const end = Date.now() + 60_000; !third.ok && Date.now() < end; third = await host(3).take('x')) await pause(50);
  assert.ok(third.ok);
  cluster.thaw(leader);
  assert.equal(await refusalOf(waiting.begin()), 'lock-lost');
  await cluster.ready(leader);
  const view = await lockView(etcdOf(cluster), 'default');
  assert.ok(view);
  assert.ok(view.holders.some(({ name, phase }) => name === 'host-1' && phase === 'rebooting'));
  assert.ok(view.holders.length <= 2);
});

test('a full etcd is named by its alarm, grants nothing, and takes the lock back once it has room', async () => {
  await using cluster = await EtcdCluster.start({ members: 1, args: ['--quota-backend-bytes', '2000000'] });
  const host = lockOf(1, cluster);
  assert.ok((await host.take('x')).ok);
  const fill = Buffer.alloc(900_000);
  const etcd = etcdOf(cluster);
  const filled = async (): Promise<string> => {
    for (let round = 0; round < 5; round++) await etcd.txn({ ops: [{ put: 'fill', value: fill }] });
    return 'none';
  };
  assert.equal(await refusalOf(filled()), 'etcd-full');
  for (const attempt of [() => host.begin(), () => host.giveBack(), () => lockOf(2, cluster).take('x')])
    assert.equal(await refusalOf(attempt()), 'etcd-full');
  await assert.rejects(host.giveBack(), /NOSPACE/);
  await etcd.txn({ ops: [{ delete: 'fill' }] });
  const { out } = await cluster.ctl(['get', 'fill', '-w', 'json']);
  await cluster.ctl(['compact', /"revision":(\d+)/.exec(out)?.[1] ?? '']);
  await cluster.ctl(['defrag']);
  await cluster.ctl(['alarm', 'disarm']);
  await host.giveBack();
  assert.ok((await lockOf(2, cluster).take('x')).ok);
});

test('a member that is lost for good is not missed, and a removed one neither', async () => {
  await using cluster = await EtcdCluster.start();
  const host = lockOf(1, { endpoints: cluster.endpoints, timeoutMs: 3_000 });
  assert.ok((await host.take('x')).ok);
  await cluster.kill(0);
  await cluster.ready(1);
  const { out } = await cluster.ctl(['member', 'list'], 1);
  const id = /^([0-9a-f]+), \w+, m0,/m.exec(out)?.[1] ?? '';
  await cluster.ctl(['member', 'remove', id], 1);
  await host.begin();
  await host.giveBack({});
  assert.ok((await lockOf(2, { endpoints: cluster.endpoints, timeoutMs: 3_000 }).take('x')).ok);
});

test('with etcd on the hosts themselves, nobody is granted the lock while a member is ill', async () => {
  await using cluster = await EtcdCluster.start();
  const host = lockOf(1, { endpoints: cluster.endpoints, members: 3, timeoutMs: 3_000 });
  await cluster.kill(2);
  await cluster.ready();
  const answer = await host.take('x');
  assert.equal(answer.ok ? '' : answer.code, 'lock-etcd-ill');
  cluster.launch(2, 'existing');
  await cluster.ready(2);
  assert.ok((await host.take('x')).ok);
});

test('a host logs in with its password, again when its token is forgotten, and is told when it may not', async () => {
  await using cluster = await EtcdCluster.start({ members: 1 });
  await cluster.ctl(['user', 'add', 'root:secret']);
  await cluster.ctl(['user', 'grant-role', 'root', 'root']);
  await cluster.ctl(['role', 'add', 'hosts']);
  await cluster.ctl(['role', 'grant-permission', 'hosts', '--prefix=true', 'readwrite', 'tandem/lock/']);
  for (const others of ['com.coreos.airlock/', 'coreos.com/', '/coreos.com/'])
    await cluster.ctl(['role', 'grant-permission', 'hosts', '--prefix=true', 'read', others]);
  await cluster.ctl(['user', 'add', 'host:pw']);
  await cluster.ctl(['user', 'add', 'stranger:pw']);
  await cluster.ctl(['user', 'grant-role', 'host', 'hosts']);
  await cluster.ctl(['auth', 'enable']);
  const { endpoints } = cluster;
  const host = lockOf(1, { endpoints, login: { user: 'host', password: 'pw' } });
  assert.ok((await host.take('x')).ok);
  await cluster.kill(0);
  cluster.launch(0);
  await assert.doesNotReject(async () => {
    for (const end = Date.now() + 60_000; ; await pause(50)) {
      const code = await refusalOf(host.begin());
      if (code === 'none') return;
      if (code !== 'etcd-unavailable' || Date.now() > end) throw new Error(code);
    }
  });
  for (const login of [undefined, { user: 'host', password: 'wrong' }, { user: 'stranger', password: 'pw' }])
    assert.equal(await refusalOf(lockOf(2, { endpoints, ...(login ? { login } : {}) }).take('x')), 'etcd-denied');
});

test('TLS: the host shows its certificate, and does not talk to a cluster that it does not trust', async () => {
  await using folder = await temporaryFolder();
  const files = makeTlsFiles(folder.path, 'host');
  const args = [
    '--cert-file',
    files.serverCert,
    '--key-file',
    files.serverKey,
    '--trusted-ca-file',
    files.ca,
    '--client-cert-auth',
  ];
  const flags = ['--cacert', files.ca, '--cert', files.clientCert, '--key', files.clientKey];
  await using cluster = await EtcdCluster.start({ members: 1, scheme: 'https', args, flags });
  const [ca, certificate, key] = [files.ca, files.clientCert, files.clientKey].map((path) => readFileSync(path));
  assert.ok(ca && certificate && key);
  const { endpoints } = cluster;
  const trusted = testHttp({ ca, identity: { certificate, key } });
  assert.ok((await lockOf(1, { endpoints, http: trusted }).take('x')).ok);
  await assert.rejects(lockOf(2, { endpoints, http: testHttp({ ca }) }).take('x'), { code: 'etcd-unavailable' });
  await assert.rejects(lockOf(2, { endpoints, http: testHttp({ identity: { certificate, key } }) }).take('x'), {
    code: 'etcd-unavailable',
    message: /unable to verify|self.signed|certificate/i,
  });
});

test('a holder names itself to everybody who looks, over any member', async () => {
  await using cluster = await EtcdCluster.start();
  await lockOf(7, cluster).take('update to 2.0');
  for (const endpoint of cluster.endpoints) {
    const view = await lockView(etcdOf({ endpoints: [endpoint] }), 'default');
    assert.deepEqual(
      view?.holders.map(({ id, why }) => [id, why]),
      [[memberOf(7).id, 'update to 2.0']],
    );
  }
});
