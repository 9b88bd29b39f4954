/** The lock in a real etcd of three members: every fault that its hosts can have, one at a time. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { lockView, releaseHolder, setLockMax } from '../../src/reboot/gates/locks/etcd-operator.ts';
import { keysOf } from '../../src/reboot/gates/locks/etcd-room.ts';
import type { LockAnswer, LockClient } from '../../src/reboot/gates/locks/lock-client.ts';
import { realClock } from '../../src/system/clock.ts';
import { createEtcdV2 } from '../../src/system/etcd/v2.ts';
import { noSignal } from '../support/bundles.ts';
import { refusalOf } from '../support/command-line.ts';
import { EtcdCluster } from '../support/etcd-cluster.ts';
import { testHttp } from '../support/http-client.ts';
import { etcdOf, type HostOptions, lockOf } from '../support/lock-hosts.ts';
import { memberOf } from '../support/lock-model.ts';

let cluster: EtcdCluster;
let groups = 0;

before(async () => {
  cluster = await EtcdCluster.start();
});
after(() => cluster[Symbol.asyncDispose]());

/** A group of its own for each test: they share the cluster, not the lock. */
function fleet(more: Partial<HostOptions> = {}) {
  const group = `g${groups++}`;
  const options = { endpoints: cluster.endpoints, group, ...more };
  const keys = keysOf(group);
  const etcd = etcdOf(options);
  const leaseOf = async (key: string): Promise<string> =>
    (await etcd.txn({ ops: [{ range: key }] })).ranges[0]?.pairs[0]?.lease ?? '0';
  return {
    group,
    keys,
    etcd,
    host: (index: number, different: Partial<HostOptions> = {}): LockClient =>
      lockOf(index, { ...options, ...different }),
    view: async () => {
      const view = await lockView(etcd, group);
      assert.ok(view);
      return view;
    },
    /** What happens to a host that is silent for longer than its lease. */
    silence: async (index: number): Promise<void> => {
      for (const key of [keys.asking(memberOf(index).id), keys.holding(memberOf(index).id)])
        await etcd.revokeLease(await leaseOf(key));
    },
    /** The time of a reboot runs out. */
    overdue: async (index: number): Promise<void> => etcd.revokeLease(await leaseOf(keys.deadline(memberOf(index).id))),
  };
}

const said = (answer: LockAnswer): string => (answer.ok ? 'held' : answer.code);
const reasonOf = (answer: LockAnswer): string => (answer.ok ? '' : answer.reason);

test('one host after the other, and each place names its holder, since when and why', async () => {
  const { host, view } = fleet();
  const [one, two] = [host(1), host(2)];
  assert.equal(said(await one.take('update to 2.0')), 'held');
  const refusal = await two.take('update to 2.0');
  assert.equal(said(refusal), 'lock-full');
  assert.match(reasonOf(refusal), /^host-1 \(since 20\d\d-/);
  await one.begin();
  const [holder] = (await view()).holders;
  assert.deepEqual(
    [holder?.name, holder?.phase, holder?.why, holder?.late],
    ['host-1', 'rebooting', 'update to 2.0', false],
  );
  assert.deepEqual(
    (await view()).queue.map(({ name }) => name),
    ['host-2'],
  );
  await one.giveBack({});
  assert.equal(said(await two.take('update to 2.0')), 'held');
});

test('every verb may be repeated: asking for what one has, leaving twice, giving back what one never had', async () => {
  const { host, view } = fleet();
  const lock = host(1);
  await lock.giveBack({});
  assert.equal(said(await lock.take('x')), 'held');
  assert.equal(said(await lock.take('x')), 'held');
  await lock.begin();
  await lock.begin();
  assert.equal(said(await lock.take('x')), 'held');
  assert.equal((await view()).holders.length, 1);
  await lock.giveBack({});
  await lock.giveBack({});
  assert.deepEqual((await view()).holders, []);
});

test('an agent that is started anew finds its lock and its place in the queue', async () => {
  const { host, view } = fleet();
  assert.equal(said(await host(1).take('x')), 'held');
  await host(2).take('x');
  await host(3).take('x');
  await host(2).take('x');
  assert.deepEqual(
    (await view()).queue.map(({ name }) => name),
    ['host-2', 'host-3'],
  );
  assert.equal(said(await host(1).take('x')), 'held');
  await host(1).begin();
});

test('who asked first is next, whoever asks again first', async () => {
  const { host } = fleet();
  const first = host(1);
  await first.take('x');
  for (const index of [2, 3, 4]) await host(index).take('x');
  await first.giveBack();
  assert.equal(said(await host(4).take('x')), 'lock-turn');
  assert.equal(said(await host(3).take('x')), 'lock-turn');
  assert.equal(said(await host(2).take('x')), 'held');
});

test('a host whose window closes leaves the queue and holds nobody up', async () => {
  const { host, view } = fleet();
  await host(1).take('x');
  await host(2).take('x');
  await host(3).take('x');
  await host(2).giveBack();
  await host(1).giveBack();
  assert.equal(said(await host(3).take('x')), 'held');
  assert.deepEqual((await view()).queue, []);
});

test('a host that was silent for longer than its lease may not reboot, whatever it believes', async () => {
  const { host, silence } = fleet();
  const frozen = host(1);
  await frozen.take('x');
  await silence(1);
  assert.equal(said(await host(2).take('x')), 'held');
  assert.equal(await refusalOf(frozen.begin()), 'lock-lost');
  assert.equal(said(await frozen.take('x')), 'lock-full');
});

test('a host that dies before it reboots frees its place, also in the queue', async () => {
  const { host, silence } = fleet();
  await host(1).take('x');
  await host(2).take('x');
  await host(3).take('x');
  await silence(1);
  await silence(2);
  assert.equal(said(await host(3).take('x')), 'held');
});

test('when all leases are revoked at once, those who wait ask anew, those who reboot keep the lock, and the size holds', async () => {
  const { host, silence, view } = fleet({ max: 2 });
  await host(1).take('x');
  await host(1).begin();
  await host(2).take('x');
  await host(3).take('x');
  for (const index of [1, 2, 3]) await silence(index);
  assert.equal(said(await host(3).take('x')), 'held');
  assert.equal(said(await host(2).take('x')), 'lock-full');
  assert.equal(await refusalOf(host(2).begin()), 'lock-lost');
  assert.deepEqual((await view()).holders.map(({ name, phase }) => `${name} ${phase}`).sort(), [
    'host-1 rebooting',
    'host-3 waiting',
  ]);
});

test('a lock that was lost by silence is had again, when it is free, before the reboot', async () => {
  const { host, silence } = fleet();
  const lock = host(1);
  await lock.take('x');
  await silence(1);
  assert.equal(said(await lock.take('x')), 'held');
  await lock.begin();
});

test('a host that is off while it reboots keeps its place without any lease', async () => {
  const { host, silence, view } = fleet();
  const off = host(1);
  await off.take('x');
  await off.begin();
  await silence(1);
  assert.equal(said(await host(2).take('x')), 'lock-full');
  assert.equal((await view()).holders[0]?.name, 'host-1');
});

test('a host that does not come back is an alarm: its place stays used, and nobody goes on', async () => {
  const { host, overdue, view } = fleet({ max: 3 });
  await host(1).take('x');
  await host(1).begin();
  assert.equal(said(await host(2).take('x')), 'held');
  await host(2).giveBack();
  await overdue(1);
  const refusal = await host(2).take('x');
  assert.equal(said(refusal), 'lock-failures');
  assert.match(reasonOf(refusal), /^host-1 \(since .*\) failed or did not come back/);
  assert.equal((await view()).holders[0]?.late, true);
  await host(1).giveBack({});
  assert.equal(said(await host(2).take('x')), 'held');
});

test('a host that was removed from the fleet while it held the lock is released by name or id; the same again is refused', async () => {
  const { host, etcd, group } = fleet();
  for (const who of ['host-1', memberOf(1).id]) {
    await host(1).take('x');
    await host(1).begin();
    await releaseHolder(etcd, group, who);
    assert.equal(said(await host(2).take('x')), 'held');
    await host(2).giveBack();
    assert.equal(await refusalOf(releaseHolder(etcd, group, who)), 'lock-not-held');
  }
});

test('a failed update stops the others until the host succeeds, and is shown with its reason', async () => {
  const { host, view } = fleet({ max: 5 });
  await host(1).take('x');
  await host(1).begin();
  await host(1).giveBack({ failed: 'the web server does not answer' });
  assert.equal(said(await host(2).take('x')), 'lock-failures');
  assert.deepEqual(
    (await view()).failures.map(({ name, why }) => [name, why]),
    [['host-1', 'the web server does not answer']],
  );
  assert.equal(said(await host(1).take('x')), 'held');
  await host(1).begin();
  await host(1).giveBack({});
  assert.equal(said(await host(2).take('x')), 'held');
});

test('when every host fails, no more than the budget and one find out', async () => {
  const { host } = fleet({ max: 1, maxFailures: 2 });
  let failed = 0;
  for (const index of Array(10).keys()) {
    const lock = host(index);
    if (said(await lock.take('x')) !== 'held') continue;
    await lock.begin();
    await lock.giveBack({ failed: 'unhealthy' });
    failed++;
  }
  assert.equal(failed, 3);
});

test('two machines with one id do not free each other’s lock', async () => {
  const { host } = fleet();
  const [real, clone] = [host(1, { me: memberOf(1, 'aa') }), host(1, { me: memberOf(1, 'bb') })];
  await real.take('x');
  for (const attempt of [() => clone.take('x'), () => clone.begin(), () => clone.giveBack({})])
    assert.equal(await refusalOf(attempt()), 'lock-identity');
  await real.begin();
});

test('a size below the present holders takes nothing from them and grants nothing until enough are back', async () => {
  const { host, etcd, group } = fleet({ max: 2 });
  for (const index of [1, 2]) {
    await host(index).take('x');
    await host(index).begin();
  }
  await setLockMax(etcd, group, 1);
  await host(1).giveBack({});
  assert.equal(said(await host(3).take('x')), 'lock-full');
  await host(2).giveBack({});
  assert.equal(said(await host(3).take('x')), 'held');
});

test('what is under the key and not ours is named and left as it is', async () => {
  const { host, etcd, keys, group } = fleet();
  const junk = Buffer.from('{"total_slots":1,"holders":[]}');
  await etcd.txn({ ops: [{ put: keys.semaphore, value: junk }] });
  for (const attempt of [
    () => host(1).take('x'),
    () => host(1).begin(),
    () => host(1).giveBack({}),
    () => setLockMax(etcd, group, 2),
    () => lockView(etcd, group),
  ])
    await assert.rejects(attempt, { code: 'lock-document-invalid', message: new RegExp(`the key ${keys.semaphore}`) });
  const { ranges } = await etcd.txn({ ops: [{ range: keys.semaphore }] });
  assert.deepEqual(ranges[0]?.pairs[0]?.value, junk);
});

const others: Readonly<Record<string, Readonly<{ key(group: string): string; value: string; says: RegExp }>>> = {
  airlock: {
    key: (group) => `com.coreos.airlock/groups/${group}/v1/semaphore`,
    value: '{"total_slots":2,"holders":["aa"]}',
    says: /^airlock keeps a lock .*2 slots, held by aa/,
  },
  'locksmith, after a migration': {
    key: (group) => `/coreos.com/updateengine/rebootlock/groups/${group}/semaphore`,
    value: '{"semaphore":1,"max":1,"holders":[]}',
    says: /^locksmith keeps a lock .*1 slot, held by nobody/,
  },
  'airlock, but not to be understood': {
    key: (group) => `com.coreos.airlock/groups/${group}/v1/semaphore`,
    value: 'junk',
    says: /its document cannot be read/,
  },
};

for (const [who, { key, value, says }] of Object.entries(others))
  test(`the lock is not shared with ${who}`, async () => {
    const { host, etcd, group } = fleet();
    await etcd.txn({ ops: [{ put: key(group), value: Buffer.from(value) }] });
    await assert.rejects(host(1).take('x'), { code: 'lock-foreign', message: says });
    await etcd.txn({ ops: [{ delete: key(group) }] });
    assert.equal(said(await host(1).take('x')), 'held');
  });

test('the lock is not shared with a locksmith that runs, though it speaks API v2', async () => {
  await using cluster = await EtcdCluster.start({ members: 1, args: ['--enable-v2=true'] });
  const [endpoint = ''] = cluster.endpoints;
  const older = createEtcdV2({ http: testHttp(), endpoints: cluster.endpoints, timeoutMs: 5_000, signal: noSignal });
  let ms = 0;
  const clock = { ...realClock, monotonicMs: () => ms };
  const keys = ['semaphore', 'groups/lab/semaphore'].map((key) => `coreos.com/updateengine/rebootlock/${key}`);
  for (const key of keys) {
    const host = lockOf(1, { endpoints: cluster.endpoints, group: 'lab', older, clock });
    assert.equal(said(await host.take('x')), 'held');
    // As locksmith writes it.
    const value = '{"semaphore":0,"max":1,"holders":["8f2a"]}';
    const at = `${endpoint}/v2/keys/${key}`;
    assert.equal((await fetch(at, { method: 'PUT', body: new URLSearchParams({ value }) })).status, 201);
    const other = lockOf(2, { endpoints: cluster.endpoints, group: 'lab', older });
    await assert.rejects(other.take('x'), { code: 'lock-foreign', message: /^locksmith .*1 slot, held by 8f2a/ });
    // Who has just looked does so again in an hour.
    assert.equal(said(await host.take('x')), 'held');
    ms += 3_600_000;
    await assert.rejects(host.take('x'), { code: 'lock-foreign' });
    await host.giveBack();
    await fetch(at, { method: 'DELETE' });
    assert.equal(said(await other.take('x')), 'held', 'once it is gone');
    await other.giveBack();
  }
});

test('clocks that are decades apart change nothing: deadlines are counted by etcd', async () => {
  const { host, view } = fleet();
  const at = (time: string) => ({ clock: { ...realClock, now: () => new Date(time) } });
  await host(1, at('1970-01-02T00:00:00Z')).take('x');
  await host(1, at('1970-01-02T00:00:00Z')).begin();
  assert.equal(said(await host(2, at('2099-01-01T00:00:00Z')).take('x')), 'lock-full');
  assert.equal((await view()).holders[0]?.late, false);
  await host(1, at('2099-01-01T00:00:00Z')).giveBack({});
  assert.equal(said(await host(2, at('1970-01-01T00:00:00Z')).take('x')), 'held');
});

test('a clock that jumps while the lock is held changes nothing for the one whose clock it is', async () => {
  const { host, view } = fleet();
  let time = '2026-03-01T00:00:00Z';
  const jumpy = host(1, { clock: { ...realClock, now: () => new Date(time) } });
  assert.equal(said(await jumpy.take('x')), 'held');
  time = '2096-03-01T00:00:00Z';
  await jumpy.begin();
  assert.deepEqual([(await view()).holders[0]?.late, said(await host(2).take('x'))], [false, 'lock-full']);
  time = '1976-03-01T00:00:00Z';
  await jumpy.giveBack({});
  assert.equal(said(await host(2).take('x')), 'held');
});

test('a history that was compacted away is not needed', async () => {
  const { host, etcd } = fleet();
  await host(1).take('x');
  const { out } = await cluster.ctl(['get', 'nothing', '-w', 'json']);
  await cluster.ctl(['compact', /"revision":(\d+)/.exec(out)?.[1] ?? '', '--physical']);
  await host(1).begin();
  await host(1).giveBack({});
  assert.equal(said(await host(2).take('x')), 'held');
  assert.deepEqual(await etcd.ailments(), [undefined, undefined, undefined]);
});

test('with etcd on the hosts themselves, those that reboot leave it a majority, whatever the size says', async () => {
  const { host } = fleet({ max: 3, members: 3 });
  assert.equal(said(await host(1).take('x')), 'held');
  assert.equal(said(await host(2).take('x')), 'lock-full');
});

test('one free place and five hundred waiters: one write takes it, the others only look', async () => {
  let writes = 0;
  const http = testHttp();
  const counting = {
    post: (...[url, request]: Parameters<typeof http.post>) => {
      if (url.endsWith('/txn') && (request.body ?? '').includes('request_put')) writes++;
      return http.post(url, request);
    },
  };
  const { host } = fleet({ http: counting, timeoutMs: 30_000 });
  await host(0).take('x');
  const waiters = Array.from({ length: 500 }, (_, index) => host(index + 1));
  for (const waiter of waiters) await waiter.take('x');
  await host(0).giveBack();
  writes = 0;
  const answers = await Promise.all(waiters.map((waiter) => waiter.take('x')));
  assert.deepEqual([answers.filter(({ ok }) => ok).length, writes], [1, 1]);
});
