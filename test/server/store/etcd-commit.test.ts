/** An update against an etcd in which somebody else is always faster. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { etcdStore } from '../../../src/server/store/etcd.ts';
import type { Etcd } from '../../../src/system/etcd/etcd.ts';
import type { Transaction } from '../../../src/system/etcd/messages.ts';
import { refusalOf } from '../../support/command-line.ts';

/** Every transaction that writes comes too late. */
function busyEtcd(): Readonly<{ etcd: Etcd; asked: Transaction[] }> {
  const asked: Transaction[] = [];
  const etcd: Etcd = {
    txn: async (txn) => {
      asked.push(txn);
      const pair = {
        key: 'x',
        value: new TextEncoder().encode(String(asked.length)),
        modRevision: String(asked.length),
        lease: '0',
      };
      const ranges = (txn.otherwise ?? []).map((_, at) =>
        at < 2 ? { pairs: [], count: 0 } : { pairs: [pair], count: 1 },
      );
      return { succeeded: false, ranges, revision: '1' };
    },
    grantLease: async () => '7',
    keepAlive: async () => true,
    revokeLease: async () => {},
    watch: async () => 'changed',
    ailments: async () => [],
  };
  return { etcd, asked };
}

test('who always comes too late gives up by name, having decided anew each time, and waits longer and longer', async () => {
  const { etcd, asked } = busyEtcd();
  const waited: number[] = [];
  let now = 0;
  const clock = {
    now: () => new Date(0),
    monotonicMs: () => now,
    sleep: async (ms: number) => {
      now += ms;
      waited.push(ms);
    },
  };
  const random = { fraction: () => 0.5, bytes: (length: number) => new Uint8Array(length) };
  await using store = etcdStore({ etcd, clock, random, prefix: 'p' });
  const saw: unknown[] = [];
  const update = store.update([{ kind: 'counter', id: 'a' }], ([count]) => {
    saw.push(count);
    return { write: [Number(count ?? 0) + 1], result: 0 };
  });
  assert.equal(await refusalOf(update), 'store-contended');
  assert.deepEqual(saw, [undefined, ...Array.from({ length: saw.length - 1 }, (_, at) => at + 1)]);
  assert.deepEqual(asked[3]?.compare?.at(2), { key: 'p/counter/a', modRevision: '3' });
  assert.deepEqual(waited.slice(0, 4), [0, 0.5, 1.5, 3.5]);
  assert.equal(Math.max(...waited), 250);
});
