/** Two servers over three members of etcd, of both of which one is killed under load: nothing answered is lost, and no limit is passed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { etcdStore } from '../../src/server/store/etcd.ts';
import { realClock } from '../../src/system/clock.ts';
import { realRandom } from '../../src/system/random.ts';
import { EtcdCluster } from '../support/etcd-cluster.ts';
import { FleetDrill, lostPromises, type Tally, tally } from '../support/fleet-drill.ts';
import { etcdOf } from '../support/lock-hosts.ts';
import { rollingOut } from '../support/rollout-site.ts';
import { ServerProcess } from '../support/server-process.ts';

const HOSTS = 200;
const IN_FLIGHT = 15;
const AT_ONCE = 5;

test('kill -9 of a server, of the leader of etcd, and of both together, in the middle of a rollout', async (t) => {
  using repository = await rollingOut({ inFlight: IN_FLIGHT, failures: 50 });
  await using cluster = await EtcdCluster.start();
  const options = ['--repository', repository.dir, '--lock-max', String(AT_ONCE)];
  options.push(...cluster.endpoints.flatMap((one) => ['--etcd', one]));
  await using one = await ServerProcess.start(options);
  await using other = await ServerProcess.start(options);
  const etcd = etcdOf({ endpoints: cluster.endpoints, timeoutMs: 10_000 });
  await using store = etcdStore({ etcd, clock: realClock, random: realRandom, prefix: 'tandem/fleet/v1' });

  const lost: string[] = [];
  const restartServer = async (server: ServerProcess): Promise<void> => {
    await server.kill();
    lost.push(...(await lostPromises(drill, store)));
    await server.start();
  };
  const restartLeader = async (): Promise<void> => {
    const leader = await cluster.leader();
    await cluster.kill(leader);
    await cluster.ready();
    lost.push(...(await lostPromises(drill, store)));
    cluster.launch(leader, 'existing');
    await cluster.ready(leader);
  };
  // One after the other: two members of three that are away at once are an outage, and no test of it.
  const faults: readonly Readonly<{ from: number; strike(): Promise<unknown> }>[] = [
    { from: 150, strike: () => restartServer(one) },
    { from: 400, strike: restartLeader },
    { from: 700, strike: () => Promise.all([restartServer(other), restartLeader()]) },
  ];
  let struck = 0;
  let last: Promise<unknown> | undefined;
  const samples: Promise<Tally | undefined>[] = [];
  const drill: FleetDrill = new FleetDrill({
    hosts: HOSTS,
    inFlight: IN_FLIGHT,
    atOnce: AT_ONCE,
    urls: [one.url, other.url],
    fails: (host) => host % 50 === 7,
    answered: (count) => {
      const fault = faults[struck];
      if (!last && fault && count >= fault.from) {
        struck++;
        last = fault
          .strike()
          .catch((error) => drill.stop(error))
          .finally(() => {
            last = undefined;
          });
      }
      samples.push(tally(store).catch((error) => drill.stop(error)));
    },
  });
  await drill.run();
  await last;
  const tallies = (await Promise.all(samples)).filter((one) => one !== undefined);
  const most = (of: 'inFlight' | 'holders'): number => Math.max(...tallies.flatMap((sample) => sample[of]));
  t.diagnostic(
    `${HOSTS} hosts, ${drill.answers} answers, ${drill.unanswered} requests unanswered; ${tallies.length} samples: at most ${most('inFlight')} under way and ${most('holders')} with the lock`,
  );
  assert.equal(struck, 3);
  assert.deepEqual([...lost, ...(await lostPromises(drill, store))], []);
  for (const [seen, counted, limit] of [
    [drill.mostInFlight, most('inFlight'), IN_FLIGHT],
    [drill.mostHolding, most('holders'), AT_ONCE],
  ] as const)
    assert.ok(1 < seen && seen <= counted && counted <= limit, `${seen} seen, ${counted} counted, ${limit} allowed`);
  assert.deepEqual(await tally(store), { updated: [HOSTS - 4], failed: [4], inFlight: [0], holders: [] });
});

test('servers that share etcd are alike: one shows the operator’s token, and it is good at both', async () => {
  using repository = await rollingOut({ inFlight: 1, failures: 0 });
  await using cluster = await EtcdCluster.start({ members: 1 });
  const options = ['--repository', repository.dir, ...cluster.endpoints.flatMap((one) => ['--etcd', one])];
  const servers = await Promise.all([ServerProcess.start(options), ServerProcess.start(options)]);
  await using _one = servers[0];
  await using _other = servers[1];
  const [token, ...more] = servers.flatMap(({ operatorToken }) => operatorToken ?? []);
  assert.ok(token !== undefined && more.length === 0);
  for (const { url } of servers) {
    const answer = await fetch(`${url}/v1/machines`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 200);
  }
});
