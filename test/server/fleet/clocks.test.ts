/** Servers whose clocks differ by more than a minute take nobody for overdue, whichever of them is wrong, and say so. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byClocks } from '../../../src/cli/server/clocks.ts';
import { metricsText } from '../../../src/formats/metrics-text.ts';
import { type Clocks, createClocks } from '../../../src/server/fleet/clocks.ts';
import { createFleet } from '../../../src/server/fleet/fleet.ts';
import { createRebootLocks } from '../../../src/server/fleet/reboot-locks.ts';
import { sqliteStore } from '../../../src/server/store/sqlite.ts';
import type { Store } from '../../../src/server/store/store.ts';
import { logTo } from '../../../src/system/log.ts';
import { openDatabase } from '../../../src/system/sqlite.ts';
import { checkInOf } from '../../support/check-in-line.ts';
import { START, virtualChannel } from '../../support/virtual-channel.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const PATIENCE = 30 * MINUTE;

/** Time as it is, and servers whose clocks are off. */
class Site {
  readonly store: Store = sqliteStore(openDatabase(':memory:', { durable: false }));
  elapsed = 24 * HOUR;
  private made = 0;

  server(offMs = 0) {
    const lines: Readonly<{ code?: string; seconds?: number; server?: string }>[] = [];
    const server = { offMs, lines, now: () => new Date(START + this.elapsed + server.offMs) };
    this.made += 1;
    const clocks: Clocks = createClocks({
      store: this.store,
      id: String(this.made).padStart(32, '0'),
      name: `server-${this.made}`,
      now: server.now,
      monotonicMs: () => this.elapsed,
      log: logTo((line) => void lines.push(JSON.parse(line))),
    });
    const channel = virtualChannel({ maxInFlight: 9, maxFailures: 9, patienceMs: PATIENCE });
    const fleet = createFleet(this.store, async () => channel, undefined, { mayJudge: clocks.mayJudge });
    const limits = { max: 1, maxFailures: 0, deadlineSeconds: PATIENCE / SECOND };
    const locks = createRebootLocks(this.store, limits, { maySilent: true, mayJudge: clocks.mayJudge });
    return Object.assign(server, { clocks, fleet, locks });
  }

  /** Everybody looks every ten seconds. */
  async pass(ms: number, ...servers: readonly Readonly<{ clocks: Clocks }>[]): Promise<void> {
    for (const end = this.elapsed + ms; this.elapsed < end; ) {
      this.elapsed += 10 * SECOND;
      for (const { clocks } of servers) await clocks.look();
    }
  }
}

const failedOf = async ({ fleet, now }: ReturnType<Site['server']>) =>
  (await fleet.ledger('stable', now())).failed.size;
const begins = ({ fleet, now }: ReturnType<Site['server']>, host: number) =>
  fleet.checkIn(checkInOf(host, { wants: '2.0' as never }), now());

test('a server alone judges as soon as it has looked, and one beside others once it has compared', async () => {
  const site = new Site();
  const one = site.server();
  assert.equal(one.clocks.mayJudge(0), false);
  await one.clocks.look();
  assert.equal(one.clocks.mayJudge(0), true);
  const other = site.server(-30 * SECOND);
  await other.clocks.look();
  assert.equal(other.clocks.mayJudge(0), false, 'it does not know how old what it saw is');
  await site.pass(20 * SECOND, one, other);
  assert.deepEqual([one.clocks.mayJudge(0), other.clocks.mayJudge(0)], [true, true], 'half a minute is no matter');
});

for (const [what, offMs] of [
  ['two hours ahead', 2 * HOUR],
  ['two hours behind', -2 * HOUR],
  ['two minutes ahead', 2 * MINUTE],
  ['two minutes behind', -2 * MINUTE],
] as const)
  test(`with a server ${what} no host under way is marked as failed by anybody, and all say why`, async () => {
    const site = new Site();
    const right = site.server();
    const wrong = site.server(offMs);
    await site.pass(MINUTE, right, wrong);
    for (const server of [right, wrong]) {
      assert.deepEqual([server.clocks.mayJudge(0), server.lines.length], [false, 1]);
      const [line] = server.lines;
      const expected = (server === right ? offMs : -offMs) / SECOND;
      assert.deepEqual([line?.code, Math.abs((line?.seconds ?? 0) - expected) <= 20], ['clocks-apart', true]);
      assert.match(metricsText(server.clocks.metrics()), /^tandem_server_judges 0$/m);
    }
    await begins(right, 1);
    await begins(wrong, 2);
    await site.pass(PATIENCE + MINUTE, right, wrong);
    assert.deepEqual([await failedOf(right), await failedOf(wrong)], [0, 0]);
    await begins(right, 3);
    await begins(wrong, 4);
    assert.equal(await failedOf(right), 0);
    wrong.offMs = 0;
    await site.pass(MINUTE, right, wrong);
    assert.deepEqual([right.lines.length, wrong.lines.length], [2, 2], 'each says once that it is over');
    assert.equal(await failedOf(right), 0, 'what was written meanwhile is left alone for as long as hosts have');
    await site.pass(PATIENCE + 3 * HOUR, right, wrong);
    assert.equal(await failedOf(right), 4);
  });

test('a server whose clock is set in the middle of its work judges nobody before it has looked again', async () => {
  const site = new Site();
  const one = site.server();
  const other = site.server();
  await site.pass(MINUTE, one, other);
  await begins(one, 1);
  other.offMs = 2 * HOUR;
  assert.deepEqual([await failedOf(other), other.clocks.mayJudge(0)], [0, false]);
});

test('where clocks differ nobody is late with the lock, and nobody is forgotten', async () => {
  const site = new Site();
  const right = site.server();
  const wrong = site.server(2 * HOUR);
  await right.locks.take('web', 'a', right.now());
  const forgotten: string[] = [];
  const expiry = { isOver: () => true, forget: async (ids: readonly string[]) => void forgotten.push(...ids) };
  await site.pass(MINUTE, right, wrong);
  assert.equal((await wrong.locks.show('web', wrong.now())).holders[0]?.late, false);
  assert.equal((await wrong.locks.take('web', 'b', wrong.now()))?.code, 'lock-full');
  await byClocks(wrong.clocks, expiry).forget(['x']);
  assert.deepEqual(forgotten, []);
  await site.pass(PATIENCE + 3 * MINUTE, right);
  assert.equal((await right.locks.show('web', right.now())).holders[0]?.late, true, 'the wrong one has ended');
  await byClocks(right.clocks, expiry).forget(['x']);
  assert.deepEqual(forgotten, ['x']);
});

test('a server that has ended keeps nobody from judging for longer than a minute or two', async () => {
  const site = new Site();
  const dead = site.server(3 * HOUR);
  await dead.clocks.look();
  const one = site.server();
  await one.clocks.look();
  assert.equal(one.clocks.mayJudge(0), false, 'it was ahead when it wrote, however long ago that was');
  await site.pass(2 * MINUTE, one);
  assert.equal(one.clocks.mayJudge(0), true);
  const old = site.server();
  await old.clocks.look();
  site.elapsed += HOUR;
  const next = site.server();
  await site.pass(2 * MINUTE, next);
  assert.deepEqual([next.clocks.mayJudge(0), next.lines], [true, []], 'what is old is not behind');
});

test('a server that cannot look judges nobody, and what is damaged is written anew', async () => {
  const site = new Site();
  const one = site.server();
  await one.clocks.look();
  site.elapsed += 2 * MINUTE;
  assert.equal(one.clocks.mayJudge(0), false);
  for (const broken of [7, { schema: 1, servers: { x: 1 } }, { schema: 1 }]) {
    await site.store.update([{ kind: 'clocks', id: 'servers' }], () => ({ write: [broken], result: undefined }));
    await one.clocks.look();
    assert.equal(one.clocks.mayJudge(0), true);
  }
});
