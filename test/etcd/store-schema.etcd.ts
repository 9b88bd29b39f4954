/** The store in etcd says what form it has: an older one goes on, and a server that is there when a newer one raises the number writes nothing more. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { etcdStore } from '../../src/server/store/etcd.ts';
import { type Json, SCHEMA, type Store } from '../../src/server/store/store.ts';
import { realClock } from '../../src/system/clock.ts';
import { realRandom } from '../../src/system/random.ts';
import { refusalOf } from '../support/command-line.ts';
import { EtcdCluster } from '../support/etcd-cluster.ts';
import { goesOn, OLD_ETCD } from '../support/golden-store.ts';
import { testHttp } from '../support/http-client.ts';
import { etcdOf } from '../support/lock-hosts.ts';

let cluster: EtcdCluster;
before(async () => {
  cluster = await EtcdCluster.start({ members: 1 });
});
after(() => cluster[Symbol.asyncDispose]());

let prefixes = 0;
const newPrefix = (): string => `schema-${prefixes++}`;
const etcd = () => etcdOf({ endpoints: cluster.endpoints, http: testHttp(), timeoutMs: 5_000 });
const storeAt = (prefix: string): Store => etcdStore({ etcd: etcd(), prefix, clock: realClock, random: realRandom });

const put = async (key: string, value: string): Promise<void> =>
  void (await etcd().txn({ ops: [{ put: key, value: new TextEncoder().encode(value) }] }));

/** Every document below the prefix but the marks of servers. */
async function contentOf(prefix: string): Promise<ReadonlyMap<string, string>> {
  const { ranges } = await etcd().txn({ ops: [{ range: `${prefix}/`, before: `${prefix}0`, limit: 1000 }] });
  const pairs = (ranges[0]?.pairs ?? []).map(({ key, value }) => [key, Buffer.from(value).toString()] as const);
  return new Map(pairs.filter(([key]) => !key.startsWith(`${prefix}/mark/`)));
}

const key = { kind: 'counter', id: 'a' };
const add = ([count]: readonly (Json | undefined)[]) => ({ write: [Number(count ?? 0) + 1], result: undefined });

test('a store without a number is of the first schema: nothing of it is lost, and from then on it says so', async () => {
  const prefix = newPrefix();
  for (const [old, value] of JSON.parse(readFileSync(OLD_ETCD, 'utf8')) as [string, string][])
    await put(old.replace('tandem/fleet/v1', prefix), value);
  assert.equal((await contentOf(prefix)).get(`${prefix}/schema`), undefined);
  await using store = storeAt(prefix);
  await goesOn(store);
  assert.equal((await contentOf(prefix)).get(`${prefix}/schema`), String(SCHEMA));
});

test('whoever only looks leaves a store as it is', async () => {
  const prefix = newPrefix();
  await using store = storeAt(prefix);
  await store.update([key], () => ({ write: [undefined], result: undefined }));
  assert.deepEqual(await contentOf(prefix), new Map());
});

test('a store of a newer schema is refused by name, and nothing is written to it', async () => {
  const prefix = newPrefix();
  await put(`${prefix}/schema`, '99');
  await using store = storeAt(prefix);
  for (const change of [add, () => ({ write: [undefined], result: undefined })])
    assert.equal(await refusalOf(store.update([key], change)), 'store-newer');
  assert.deepEqual(await contentOf(prefix), new Map([[`${prefix}/schema`, '99']]));
  await assert.rejects(store.update([key], add), new RegExp(`schema 99 \\(${prefix}/schema\\)`));
});

test('a server that is there when a newer one raises the number writes nothing more, however it competes', async () => {
  const prefix = newPrefix();
  await using store = storeAt(prefix);
  await store.update([key], add);
  const updates = Array.from({ length: 200 }, () =>
    store.update([key], add).then(
      () => 'done',
      () => 'refused',
    ),
  );
  await put(`${prefix}/schema`, '2');
  const counted = (await contentOf(prefix)).get(`${prefix}/counter/a`);
  const outcomes = await Promise.all(updates);
  assert.equal((await contentOf(prefix)).get(`${prefix}/counter/a`), counted);
  assert.equal(outcomes.filter((one) => one === 'done').length, Number(counted) - 1);
  assert.equal(await refusalOf(store.update([key], add)), 'store-newer');
});

test('a number that is none is named, and nothing is written', async () => {
  for (const wrong of ['"1"', '0', '{"schema":1}', 'null']) {
    const prefix = newPrefix();
    await put(`${prefix}/schema`, wrong);
    await using store = storeAt(prefix);
    assert.equal(await refusalOf(store.update([key], add)), 'store-document-invalid', wrong);
    assert.equal((await contentOf(prefix)).size, 1);
  }
});

test('the number is not forgotten among thousands of documents', async () => {
  const prefix = newPrefix();
  let asked = 0;
  const http = testHttp();
  const post = (...given: Parameters<typeof http.post>) => {
    asked += 1;
    return http.post(...given);
  };
  await using store = etcdStore({
    etcd: etcdOf({ endpoints: cluster.endpoints, http: { post }, timeoutMs: 5_000 }),
    prefix,
    clock: realClock,
    random: realRandom,
  });
  const update = (at: number) => store.update([{ kind: 'machine', id: String(at) }], add);
  await update(0);
  for (let from = 1; from < 2300; from += 60)
    await Promise.all(Array.from({ length: 60 }, (_, at) => update(from + at)));
  const before = asked;
  await update(9999);
  assert.equal(asked - before, 1);
});
