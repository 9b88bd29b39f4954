/**
 * The size of the fleet server's store over a month of check-ins in simulated time: a new release every week, of which one host in fifty fails,
 * a census every hour and an audit entry every day.
 * usage: node bench/store-size.ts [--store sqlite|etcd] [--hosts N] [--days N] [--a-day N]
 */

import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Version } from '../src/model.ts';
import { type AuditEntry, noted } from '../src/server/fleet/audit.ts';
import { createCensus } from '../src/server/fleet/census.ts';
import { type ChannelState, createFleet } from '../src/server/fleet/fleet.ts';
import { etcdStore } from '../src/server/store/etcd.ts';
import { createHistory } from '../src/server/store/etcd-history.ts';
import { sqliteStore } from '../src/server/store/sqlite.ts';
import type { Store } from '../src/server/store/store.ts';
import { realClock } from '../src/system/clock.ts';
import { realRandom } from '../src/system/random.ts';
import { openDatabase } from '../src/system/sqlite.ts';
import { wholeCheckInOf } from '../test/support/check-in-line.ts';
import { EtcdCluster } from '../test/support/etcd-cluster.ts';
import { testHttp } from '../test/support/http-client.ts';
import { etcdOf } from '../test/support/lock-hosts.ts';
import { START, virtualChannel } from '../test/support/virtual-channel.ts';

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'sqlite' },
    hosts: { type: 'string', default: '2000' },
    days: { type: 'string', default: '30' },
    'a-day': { type: 'string', default: '6' },
  },
});
const [hosts, days, aDay] = [Number(values.hosts), Number(values.days), Number(values['a-day'])];
const DAY = 86_400_000;
const AT_ONCE = 64;
/** One host in so many fails each release. */
const FAILS = 50;

type Place = AsyncDisposable & Readonly<{ store: Store; bytes(): Promise<number> }>;

await using place = values.store === 'etcd' ? await inEtcd() : inSqlite();
let now = START;
const fleet = createFleet(place.store, async () => offered());
const census = createCensus(place.store, { now: () => new Date(now), pause: async () => {} });

console.log(`${values.store}, ${hosts} hosts, ${aDay} check-ins a day each, a release a week`);
console.log('| after days | bytes | bytes per host |\n|---:|---:|---:|');
for (let day = 0; day < days; day++) {
  for (let round = 0; round < aDay; round++) await everyHost(day, round);
  const entry: AuditEntry = {
    at: new Date(now).toISOString(),
    who: 'night shift',
    from: '192.0.2.1',
    what: 'lock-freed',
    about: 'web-1',
  };
  await noted(place.store, entry);
  if ([0, 6, days - 1].includes(day)) {
    const bytes = await place.bytes();
    console.log(`| ${day + 1} | ${bytes} | ${(bytes / hosts).toFixed(0)} |`);
  }
}

async function everyHost(day: number, round: number): Promise<void> {
  for (let hour = 0; hour < 24 / aDay; hour++) {
    now = START + day * DAY + (round * (24 / aDay) + hour) * 3_600_000;
    await census.keep();
  }
  for (let first = 0; first < hosts; first += AT_ONCE)
    await Promise.all(
      Array.from({ length: Math.min(AT_ONCE, hosts - first) }, (_, n) => checkIn(first + n, day, round)),
    );
}

/** At its first check-in of a week a host asks to begin, and reports the outcome at the next one. */
async function checkIn(host: number, day: number, round: number): Promise<void> {
  const [old, next] = [releaseOf(day - 7), releaseOf(day)];
  const fails = host % FAILS === 0;
  const isDone = day % 7 > 0 || round > 0;
  const at = new Date(now).toISOString();
  const outcome = {
    at,
    result: 'rolled-back' as const,
    version: next.version,
    reason: 'the web server did not start: exit status 1',
  };
  const change = isDone
    ? fails
      ? { running: old, outcome }
      : { running: next }
    : { running: old, wants: next.version };
  const { request, headers } = wholeCheckInOf(host, change);
  const secret = /tandem-secret: (\S+)/.exec(headers)?.[1];
  await fleet.checkIn(request, new Date(now), secret === undefined ? {} : { secret });
}

function releaseOf(day: number): { version: Version; counter: number } {
  const week = Math.max(0, Math.floor(day / 7) + 1);
  return { version: `${week + 1}.0` as Version, counter: week + 1 };
}

function offered(): ChannelState {
  const release = releaseOf((now - START) / DAY);
  const channel = virtualChannel({ maxInFlight: hosts, maxFailures: hosts, patienceMs: 1e12 });
  if (!channel.offered) throw new Error('nothing is on offer');
  const { policy, limits } = channel.offered;
  return {
    ...channel,
    id: release.version,
    version: release.version,
    offered: { limits, policy: { ...policy, release } },
  };
}

function inSqlite(): Place {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-store-size-'));
  const store = sqliteStore(openDatabase(join(dir, 'fleet.db')));
  return {
    store,
    bytes: async () => readdirSync(dir).reduce((sum, name) => sum + statSync(join(dir, name)).size, 0),
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true });
    },
  };
}

async function inEtcd(): Promise<Place> {
  const cluster = await EtcdCluster.start({ members: 1 });
  const etcd = etcdOf({ endpoints: cluster.endpoints, http: testHttp(), timeoutMs: 30_000 });
  const prefix = 'tandem/fleet/v1';
  const history = createHistory({ etcd, clock: realClock, prefix });
  const store = etcdStore({ etcd, clock: realClock, random: realRandom, prefix, wrote: history.wrote });
  return {
    store,
    bytes: async () => {
      await history.settled();
      return Math.max(...(await etcd.sizes()).map(({ bytes }) => bytes));
    },
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await cluster[Symbol.asyncDispose]();
    },
  };
}
