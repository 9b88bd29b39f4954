/** Two hundred hosts update through one lock: never more at once than allowed, and nobody starves, whatever breaks meanwhile. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lockView } from '../../src/reboot/gates/locks/etcd-operator.ts';
import { EtcdCluster } from '../support/etcd-cluster.ts';
import { testHttp } from '../support/http-client.ts';
import { driveFleet, type FleetReport, percentile } from '../support/lock-fleet.ts';
import { etcdOf } from '../support/lock-hosts.ts';

const HOSTS = 200;

const told = (what: string, report: FleetReport): string =>
  [
    `${what}: ${HOSTS} hosts, ${report.samples} samples and ${report.readings} readings, at most ${report.most} rebooted at once`,
    `${report.outages} outages, ${report.lost} locks lost before the reboot`,
    `slot freed to next holder p50 ${percentile(report.waitsMs, 0.5).toFixed(0)} ms, p99 ${percentile(report.waitsMs, 0.99).toFixed(0)} ms`,
  ].join('; ');

test('in quiet times every host has its turn, and a slot that is freed is soon taken', async (t) => {
  await using cluster = await EtcdCluster.start();
  const options = { endpoints: cluster.endpoints, max: 5, askMs: 100, timeoutMs: 10_000, http: testHttp() };
  const report = await driveFleet({ hosts: HOSTS, options, rebootMs: 200, restarts: 0 });
  t.diagnostic(told('quiet', report));
  sizeHeld(report);
  assert.ok(report.waitsMs.length > 0);
  const view = await lockView(etcdOf(cluster), 'default');
  assert.deepEqual([view?.holders, view?.queued], [[], 0]);
});

test('leaders die and freeze, leases end, a minority is cut off, history is compacted, agents are started anew: the size holds', async (t) => {
  await using cluster = await EtcdCluster.start();
  const options = {
    endpoints: cluster.endpoints,
    max: 5,
    askMs: 200,
    leaseSeconds: 5,
    timeoutMs: 2_000,
    http: testHttp(),
  };
  const faults: Readonly<Record<number, () => Promise<unknown>>> = {
    20: async () => {
      const leader = await cluster.leader();
      await cluster.kill(leader);
      await cluster.ready();
      cluster.launch(leader, 'existing');
      await cluster.ready(leader);
    },
    60: async () => {
      const leader = await cluster.leader();
      cluster.freeze(leader);
      await cluster.ready((leader + 1) % 3);
      cluster.thaw(leader);
    },
    100: async () => {
      const { out } = await cluster.ctl(['get', 'nothing', '-w', 'json'], 1);
      await cluster.ctl(['compact', /"revision":(\d+)/.exec(out)?.[1] ?? ''], 1);
    },
    120: async () => {
      const [one, two] = [0, 1];
      cluster.freeze(one);
      cluster.freeze(two);
      // Long enough for leases to end; every request goes unanswered meanwhile.
      await new Promise((resolve) => setTimeout(resolve, 6_000));
      cluster.thaw(one);
      cluster.thaw(two);
      await cluster.ready();
    },
  };
  const begun: Promise<unknown>[] = [];
  const progress = (done: number): void => {
    const fault = faults[done];
    if (fault) begun.push(fault());
  };
  const report = await driveFleet({ hosts: HOSTS, options, rebootMs: 400, restarts: 3, progress });
  await Promise.all(begun);
  t.diagnostic(told('faults', report));
  assert.equal(begun.length, 4);
  sizeHeld(report);
  const view = await lockView(etcdOf(cluster), 'default');
  assert.deepEqual([view?.holders, view?.queued], [[], 0]);
});

/** Several at once, so that it was no lock for one; how many depends on how fast the machine is. */
function sizeHeld({ most, mostWritten }: FleetReport): void {
  for (const count of [most, mostWritten]) assert.ok(count > 1 && count <= 5, `${count} at once`);
}
