/** The store in a real etcd keeps what all stores promise, whatever happens to the answers, and however many servers share it. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { etcdStore } from '../../src/server/store/etcd.ts';
import type { Json, Store } from '../../src/server/store/store.ts';
import { realClock } from '../../src/system/clock.ts';
import type { Http } from '../../src/system/http/http.ts';
import { realRandom } from '../../src/system/random.ts';
import { type StoreBench, storeContract } from '../server/store-contract.ts';
import { refusalOf } from '../support/command-line.ts';
import { EtcdCluster } from '../support/etcd-cluster.ts';
import { testHttp } from '../support/http-client.ts';
import { etcdOf } from '../support/lock-hosts.ts';

let cluster: EtcdCluster;
before(async () => {
  cluster = await EtcdCluster.start({ members: 1 });
});
after(() => cluster[Symbol.asyncDispose]());

let prefixes = 0;
const newPrefix = (): string => `test-${prefixes++}`;

const storeAt = (prefix: string, http: Pick<Http, 'post'> = testHttp()): Store =>
  etcdStore({
    etcd: etcdOf({ endpoints: cluster.endpoints, http, timeoutMs: 5_000 }),
    prefix,
    clock: realClock,
    random: realRandom,
  });

storeContract('etcd', async (): Promise<StoreBench> => {
  const prefix = newPrefix();
  return { open: async () => storeAt(prefix), [Symbol.asyncDispose]: async () => {} };
});

const key = { kind: 'counter', id: 'a' };
const add = ([count]: readonly (Json | undefined)[]) => {
  const next = Number(count ?? 0) + 1;
  return { write: [next], result: next };
};

test('three servers that change one document at the same time lose nothing and do nothing twice', async () => {
  const prefix = newPrefix();
  const stores = [storeAt(prefix), storeAt(prefix), storeAt(prefix)];
  const results = await Promise.all(
    stores.flatMap((store) => Array.from({ length: 100 }, () => store.update([key], add))),
  );
  assert.deepEqual(
    results.toSorted((one, other) => one - other),
    Array.from({ length: 300 }, (_, at) => at + 1),
  );
});

test('an update whose answer was lost is done once, and answered with what it did', async () => {
  const prefix = newPrefix();
  const http = testHttp();
  let asked = 0;
  const losing: Pick<Http, 'post'> = {
    post: async (url, options) => {
      const answer = await http.post(url, options);
      // Every other transaction reaches etcd, but its answer does not come back.
      if (url.endsWith('/txn') && asked++ % 2 === 0) return http.post('http://127.0.0.1:1/', options);
      return answer;
    },
  };
  await using store = storeAt(prefix, losing);
  await using other = storeAt(prefix);
  const results: number[] = [];
  for (let round = 0; round < 20; round++) {
    // Another server writes in between, so that the document itself does not tell.
    const [mine] = await Promise.all([store.update([key], add), other.update([key], add)]);
    results.push(mine);
  }
  assert.equal(await other.read(key), 40);
  assert.equal(new Set(results).size, 20);
});

test('what a server remembers is never taken for what is so', async () => {
  const prefix = newPrefix();
  await using one = storeAt(prefix);
  await using other = storeAt(prefix);
  await one.update([key], add);
  await other.update([key], () => ({ write: [50], result: undefined }));
  assert.equal(await one.update([key], ([count]) => ({ write: [undefined], result: count })), 50);
  await other.update([key], () => ({ write: [null], result: undefined }));
  assert.equal(await one.update([key], add), 1);
  await other.update([key], add);
  const throwing = one.update([key], ([count]) => {
    throw new RangeError(`saw ${count}`);
  });
  await assert.rejects(throwing, { message: 'saw 2' });
});

test('an update that etcd does not take fails alone', async () => {
  await using store = storeAt(newPrefix());
  const large = 'x'.repeat(2_000_000);
  const small = Array.from({ length: 5 }, (_, at) => store.update([{ kind: 'counter', id: `${at}` }], add));
  const tooLarge = store.update([{ kind: 'counter', id: 'large' }], () => ({ write: [large], result: 0 }));
  const late = store.update([{ kind: 'counter', id: 'late' }], add);
  assert.equal(await refusalOf(tooLarge), 'etcd-refused');
  assert.deepEqual(await Promise.all([...small, late]), [1, 1, 1, 1, 1, 1]);
});

test('what is not JSON is named, left alone, and in nobody else’s way', async () => {
  const prefix = newPrefix();
  await cluster.ctl(['put', `${prefix}/counter/a`, '{"half']);
  await using store = storeAt(prefix);
  const [broken, well] = [store.update([key], add), store.update([{ kind: 'counter', id: 'b' }], add)];
  assert.equal(await refusalOf(broken), 'store-document-invalid');
  assert.equal(await well, 1);
  assert.equal(await refusalOf(store.read(key)), 'store-document-invalid');
  const { out } = await cluster.ctl(['get', `${prefix}/counter/a`, '--print-value-only']);
  assert.equal(out, '{"half\n');
});

test('a server that ends leaves no mark behind', async () => {
  const prefix = newPrefix();
  const store = storeAt(prefix);
  await store.update([key], add);
  const marks = async () => (await cluster.ctl(['get', '--prefix', `${prefix}/mark/`, '--keys-only'])).out.trim();
  assert.notEqual(await marks(), '');
  await store[Symbol.asyncDispose]();
  assert.equal(await marks(), '');
});

test('a server whose lease is gone takes another one, and what it was about to write is written once', async () => {
  const prefix = newPrefix();
  await using store = storeAt(prefix);
  await store.update([key], add);
  const { out } = await cluster.ctl(['lease', 'list']);
  for (const lease of out.match(/^[0-9a-f]{10,}$/gm) ?? []) await cluster.ctl(['lease', 'revoke', lease]);
  assert.deepEqual(await Promise.all([store.update([key], add), store.update([key], add)]), [2, 3]);
});

test('without etcd everything fails by name: the first to wait puts up with ten seconds, who comes later hears at once', async () => {
  const etcd = etcdOf({ endpoints: ['http://127.0.0.1:1'] });
  let now = 0;
  const clock = {
    ...realClock,
    monotonicMs: () => now,
    sleep: async () => {
      now += 1000;
    },
  };
  await using store = etcdStore({ etcd, prefix: 'x', clock, random: realRandom });
  for (const attempt of [() => store.update([key], add), () => store.read(key), () => store.update([key], add)]) {
    assert.equal(await refusalOf(attempt()), 'etcd-unavailable');
    assert.equal(now, 11_000);
  }
});

test('a server may do everything with no more rights than those below its prefix', async () => {
  await using guarded = await EtcdCluster.start({ members: 1, flags: ['--user', 'root:r'] });
  for (const args of [
    ['user', 'add', 'root:r'],
    ['user', 'grant-role', 'root', 'root'],
    ['role', 'add', 'tandem-server'],
    ['role', 'grant-permission', 'tandem-server', '--prefix=true', 'readwrite', 'tandem/fleet/v1/'],
    ['user', 'add', 'server:s'],
    ['user', 'grant-role', 'server', 'tandem-server'],
    ['auth', 'enable'],
  ])
    await guarded.ctl(args);
  const login = { user: 'server', password: 's' };
  const etcd = etcdOf({ endpoints: guarded.endpoints, login, timeoutMs: 5_000 });
  await using store = etcdStore({ etcd, prefix: 'tandem/fleet/v1', clock: realClock, random: realRandom });
  assert.deepEqual([await store.update([key], add), await store.update([key], add)], [1, 2]);
  assert.equal((await store.list('counter', 10)).documents.length, 1);
  assert.equal(await store.count('counter'), 1);
  await using elsewhere = etcdStore({ etcd, prefix: 'other', clock: realClock, random: realRandom });
  assert.equal(await refusalOf(elsewhere.update([key], add)), 'etcd-denied');
});
