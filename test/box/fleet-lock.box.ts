/** Two hosts, one etcd, one place. They update one after the other; when the first fails, the second never reboots. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LockView, lockView } from '../../src/reboot/gates/locks/etcd-operator.ts';
import type { Etcd } from '../../src/system/etcd/etcd.ts';
import { EtcdCluster } from '../support/etcd-cluster.ts';
import { etcdOf } from '../support/lock-hosts.ts';
import { HEALTH, inLab, type Lab } from './lab.ts';

const GROUP = 'web';
const SAMPLE_MS = 50;
const PATIENCE_MS = 120_000;
/** Long enough that the other host asks for the place meanwhile. */
const SLOW = { [`${HEALTH}/required/10-slow`]: '#!/bin/sh\nsleep 3\n' };
const FAILS = { [`${HEALTH}/required/10-database`]: '#!/bin/sh\nexit 1\n' };

test('two hosts with one lock update one after the other, and where the first fails the second never reboots', async () => {
  await using cluster = await EtcdCluster.start({ members: 1 });
  const etcd = etcdOf({ endpoints: cluster.endpoints });
  const port = Number(new URL(cluster.endpoints[0] ?? '').port);
  const host = (digit: string) => ({ machineId: digit.repeat(31).concat('1'), ports: [port], config: lockAt(port) });
  await inLab(host('a'), (one) =>
    inLab({ ...host('b'), companionOf: one }, async (two) => {
      const hosts = [one, two];
      await one.release({ version: '2', files: SLOW });
      const good = await whileSampling(etcd, async () => {
        await offered(hosts, '2');
        await Promise.all(hosts.map(({ box }) => box.settledAgain('b', '2')));
      });
      assert.equal(good.most, 1, `${good.samples} samples of the lock`);
      assert.equal(good.holders.size, 2, 'each of them held it');
      assert.ok(firstLeftBeforeSecond(good.turns), good.turns.join(', '));
      await oneFailsOneStays(etcd, hosts);
    }),
  );
});

const lockAt = (port: number) => (address: string) =>
  `[lock]
kind = "etcd"
endpoints = ["http://${address}:${port}"]
group = "${GROUP}"
max = 1
[poll]
backoff_minutes = 600
backoff_limit_minutes = 600
`;

/** Both are offered a release that fails its health check. */
async function oneFailsOneStays(etcd: Etcd, hosts: readonly Lab[]): Promise<void> {
  await hosts[0]?.release({ version: '3', files: FAILS });
  const starts = hosts.map(({ box }) => box.boots.length);
  const bad = await whileSampling(etcd, async () => {
    await offered(hosts, '3');
    const view = await awaitLock(etcd, ({ failures, holders }) => failures.length === 1 && holders.length === 0);
    assert.match(view.failures[0]?.why ?? '', /10-database/, 'the lock names why');
  });
  assert.equal(bad.most, 1, `${bad.samples} samples of the lock`);
  // It has had every occasion: it was asking all the while, and asks again.
  const [waiting, ...more] = hosts.filter(({ box }, index) => box.boots.length === starts[index]);
  assert.ok(waiting && more.length === 0, 'one has tried, one waits');
  const held = await waiting.box.until(
    'it says what holds it',
    ({ gates = [] }) => gates.some(({ code }) => code === 'lock-failures'),
    PATIENCE_MS,
  );
  assert.deepEqual([held.state.kind, held.running?.version, waiting.box.versions], ['staged', '2', ['1', '2']]);
  const [other] = hosts.filter((host) => host !== waiting) as [Lab];
  const after = await other.box.settled('b', '2');
  assert.equal(after.refused[0]?.version, '3');
}

async function offered(hosts: readonly Lab[], version: string): Promise<void> {
  await hosts[0]?.publisher.promote(version);
  await Promise.all(hosts.map(({ box }) => box.check()));
}

type Sampled = Readonly<{ samples: number; most: number; holders: ReadonlySet<string>; turns: readonly string[] }>;

/** Looks at the lock again and again while something goes on. */
async function whileSampling(etcd: Etcd, deed: () => Promise<unknown>): Promise<Sampled> {
  const holders = new Set<string>();
  const turns: string[] = [];
  let samples = 0;
  let most = 0;
  let isOver = false;
  const done = deed().finally(() => {
    isOver = true;
  });
  while (!isOver) {
    const held = (await lockView(etcd, GROUP))?.holders ?? [];
    samples += 1;
    most = Math.max(most, held.length);
    for (const { id } of held) {
      holders.add(id);
      if (turns.at(-1) !== id) turns.push(id);
    }
    await sleep(SAMPLE_MS);
  }
  await done;
  return { samples, most, holders, turns };
}

/** Nobody took it twice: the second held it only after the first was done with it. */
const firstLeftBeforeSecond = (turns: readonly string[]): boolean => turns.length === 2 && turns[0] !== turns[1];

async function awaitLock(etcd: Etcd, isSo: (view: LockView) => boolean): Promise<LockView> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await sleep(SAMPLE_MS)) {
    const view = await lockView(etcd, GROUP);
    if (view && isSo(view)) return view;
  }
  throw new Error('the lock does not get there');
}
