/**
 * How long a place of the reboot lock stays empty once it is given back, with always as many hosts waiting: a real etcd of three members,
 * each host with a client of its own and the agent's own pauses.
 * usage: node bench/lock-latency.ts [--waiters N] [--grants N] [--away MS]   (how long a holder is off)
 */

import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { realClock } from '../src/system/clock.ts';
import { EtcdCluster } from '../test/support/etcd-cluster.ts';
import { testHttp } from '../test/support/http-client.ts';
import { percentile } from '../test/support/lock-fleet.ts';
import { lockOf } from '../test/support/lock-hosts.ts';

const { values } = parseArgs({
  options: {
    waiters: { type: 'string', default: '200' },
    grants: { type: 'string', default: '100' },
    away: { type: 'string', default: '3000' },
  },
});
const waiters = Number(values.waiters);
const grants = Number(values.grants);
const awayMs = Number(values.away);
/** As the agent asks. */
const ASK_MS = 2_000;

await using cluster = await EtcdCluster.start();
const emptyMs: number[] = [];
let freedAt: number | undefined;
let arrived = 0;

const options = { endpoints: cluster.endpoints, askMs: ASK_MS, timeoutMs: 10_000, http: testHttp() };
const start = performance.now();
const cpu = process.cpuUsage();
await Promise.all(Array.from({ length: waiters + 1 }, (_, index) => host(index)));
const seconds = (performance.now() - start) / 1000;
const { user, system } = process.cpuUsage(cpu);
const ms = (share: number): string => percentile(emptyMs, share).toFixed(0).padStart(6);
console.log(
  `${waiters} hosts waiting, ${emptyMs.length} times a place was given back and taken, asked for every ${ASK_MS} ms`,
);
console.log(`empty for p50 ${ms(0.5)} ms, p90 ${ms(0.9)} ms, p99 ${ms(0.99)} ms, at most ${ms(1)} ms`);
console.log(
  `${seconds.toFixed(0)} s; all hosts together took ${((user + system) / 1e6).toFixed(1)} s of processor time; load ${loadavg()[0]?.toFixed(2)}`,
);

/** Asks, leaves, comes back, and queues up again: nobody is missing from the queue but the one that holds the lock. */
async function host(index: number): Promise<void> {
  const lock = lockOf(index, options);
  let isNew = true;
  while (emptyMs.length < grants) {
    const answer = await lock.take(`update of host ${index}`);
    if (isNew) arrived += 1;
    isNew = false;
    if (!answer.ok) {
      await realClock.sleep(answer.askAgainMs);
      continue;
    }
    if (freedAt !== undefined && arrived > waiters) emptyMs.push(performance.now() - freedAt);
    freedAt = undefined;
    await lock.begin();
    await realClock.sleep(awayMs);
    // Another may have it before we hear that it was given back.
    freedAt = performance.now();
    await lock.giveBack({});
  }
}
