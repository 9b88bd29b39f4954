/** Scenario: two hosts, one etcd, one place. They update one after the other; when the first fails, the second never reboots. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LockView, lockView } from '../../src/reboot/gates/locks/etcd-operator.ts';
import type { Etcd } from '../../src/system/etcd/etcd.ts';
import { EtcdCluster } from '../support/etcd-cluster.ts';
import { etcdOf } from '../support/lock-hosts.ts';
import { assertSettled, awaitState, checkNow, statusOf, UPDATE_MS } from './guest.ts';
import { inLab, type Lab } from './lab.ts';
import type { Ready } from './machine.ts';

const GROUP = 'web';
const SAMPLE_MS = 200;

test('two hosts with one lock update one after the other, and where the first fails the second never reboots', async () => {
  await using cluster = await EtcdCluster.start({ members: 1 });
  const etcd = etcdOf({ endpoints: cluster.endpoints });
  // The guest reaches the loopback device of this machine by that address.
  const endpoint = cluster.endpoints[0]?.replace('127.0.0.1', '10.0.2.2') ?? '';
  const config = `[lock]\nkind = "etcd"\nendpoints = ["${endpoint}"]\ngroup = "${GROUP}"\nmax = 1\n`;
  const host = (digit: string) => ({ machineId: digit.repeat(31).concat('1'), config, patient: true });
  await inLab('lock-1', host('a'), (one) =>
    inLab('lock-2', host('b'), async (two) => {
      const hosts = [one, two];
      const good = await whileSampling(etcd, () => Promise.all(hosts.map((lab) => updated(lab, '2'))));
      assert.equal(good.most, 1, `${good.samples} samples of the lock`);
      assert.equal(good.holders.size, 2, 'each of them held it');
      assert.ok(firstLeftBeforeSecond(good.turns), good.turns.join(', '));
      await oneFailsOneStays(etcd, hosts);
    }),
  );
});

/** Both are offered a release that fails its health check. */
async function oneFailsOneStays(etcd: Etcd, hosts: readonly Lab[]): Promise<void> {
  const boots = hosts.map(({ machine }) => machine.boots);
  const bad = await whileSampling(etcd, async () => {
    await Promise.all(hosts.map((lab) => offered(lab, '6')));
    const view = await awaitLock(etcd, ({ failures, holders }) => failures.length === 1 && holders.length === 0);
    assert.match(view.failures[0]?.why ?? '', /10-database/, 'the lock names why');
  });
  assert.equal(bad.most, 1, `${bad.samples} samples of the lock`);
  // It has had every occasion: it was asking all the while, and asks again.
  const staged = await Promise.all(hosts.map(async ({ machine }) => (await statusOf(machine)).state.kind === 'staged'));
  assert.deepEqual([...staged].sort(), [false, true], 'one has tried, one waits');
  const waiting = staged.indexOf(true);
  const { machine } = hosts[waiting] as Lab;
  await machine.run('until updatectl explain --json | grep -q lock-failures; do sleep 5; done');
  assert.equal(machine.boots, boots[waiting], 'the second has not rebooted');
  assert.equal((await statusOf(machine)).running?.version, '2');
  const { machine: other } = hosts[1 - waiting] as Lab;
  await awaitState(other, 'idle', UPDATE_MS);
  const after = await statusOf(other);
  assert.deepEqual([after.running?.version, after.refused[0]?.version], ['2', '6']);
}

async function updated(lab: Lab, version: string): Promise<Ready> {
  await offered(lab, version);
  const ready = await lab.machine.awaitReady(2 * UPDATE_MS);
  await assertSettled(lab.machine, ready, ready.slot, version);
  return ready;
}

async function offered({ machine, offer }: Lab, version: string): Promise<void> {
  await offer(version);
  machine.forgetOutput();
  await checkNow(machine);
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
  console.log(`${samples} samples of the lock, at most ${most} held`);
  return { samples, most, holders, turns };
}

/** Nobody took it twice: the second held it only after the first was done with it. */
const firstLeftBeforeSecond = (turns: readonly string[]): boolean => turns.length === 2 && turns[0] !== turns[1];

async function awaitLock(etcd: Etcd, isSo: (view: LockView) => boolean): Promise<LockView> {
  for (const end = performance.now() + 2 * UPDATE_MS; performance.now() < end; await sleep(SAMPLE_MS)) {
    const view = await lockView(etcd, GROUP);
    if (view && isSo(view)) return view;
  }
  throw new Error('the lock does not get there');
}
