/** Which keys of etcd are others', and how full it is said to be. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { etcdCondition } from '../../../src/server/store/etcd-condition.ts';
import { createHistory, gapsBetween } from '../../../src/server/store/etcd-history.ts';
import { type EtcdSize, sizeOf } from '../../../src/system/etcd/messages.ts';

const word = fc.stringMatching(/^[a-c._-]{1,2}(\/[a-c._-]{1,2}){0,2}$/);

test('a key lies in exactly one gap when no prefix is its own, and in none otherwise', () => {
  fc.assert(
    fc.property(
      fc.array(word, { minLength: 1, maxLength: 4 }),
      word,
      fc.constantFrom('', '/x', '0'),
      (prefixes, stem, rest) => {
        const key = `${stem}${rest}`;
        const within = gapsBetween(prefixes).filter(
          ([from, before]) => key >= from && (before === '\0' || key < before),
        );
        const isOurs = prefixes.some((prefix) => key.startsWith(`${prefix}/`));
        assert.equal(within.length, isOurs ? 0 : 1, `${key} of ${prefixes}`);
      },
    ),
    { numRuns: 1000 },
  );
});

test('history is thrown away piece by piece, never the last one, and one at a time', async () => {
  const compacted: string[] = [];
  const etcd = {
    txn: async () => ({ succeeded: true, ranges: [{ pairs: [], count: 0 }], revision: '0' }),
    compact: async (revision: string) => void compacted.push(revision),
  };
  let ms = 0;
  const history = createHistory({ etcd, clock: { monotonicMs: () => ms }, prefix: 'p' });
  for (let revision = 1; revision <= 60; revision++) {
    history.wrote(100_000, String(revision));
    await history.settled();
  }
  assert.deepEqual(compacted.slice(0, 3), ['1', '6', '12']);
  assert.ok(Number(compacted.at(-1)) < 60);
  const before = compacted.length;
  history.wrote(1, '61');
  ms += 300_000;
  history.wrote(1, '62');
  await history.settled();
  assert.equal(compacted.length, before + 1, 'a store that is written to seldom is cleaned up, too');
});

test('a failure of etcd while its history is thrown away is nobody else’s, and the next piece is another chance', async () => {
  let asked = 0;
  const etcd = {
    txn: async () => {
      asked += 1;
      throw new Error('away');
    },
    compact: async () => assert.fail('without knowing whose it is'),
  };
  const history = createHistory({ etcd, clock: { monotonicMs: () => 0 }, prefix: 'p' });
  for (let piece = 0; piece < 3; piece++) {
    history.wrote(1_000_000, String(piece));
    await history.settled();
  }
  assert.equal(asked, 3);
});

test('the space of etcd is read from its status, or from its figures, and taken for what etcd takes for granted', () => {
  const status = { header: { revision: '9' }, dbSize: '4096' };
  assert.deepEqual(sizeOf(status, ''), { revision: '9', bytes: 4096, isFull: false });
  assert.equal(sizeOf(status, 'a 1\netcd_server_quota_backend_bytes 8.388608e+06\n').quotaBytes, 8_388_608);
  assert.equal(sizeOf({ ...status, dbSizeQuota: '100' }, '').quotaBytes, 100);
  assert.equal(sizeOf({ ...status, errors: ['memberID:1 alarm:NOSPACE '] }, '').isFull, true);
  assert.throws(() => sizeOf({ header: 1 }, ''), { code: 'etcd-protocol' });
});

test('of several members the one with the least room counts, and one that is full is filling whatever its size', async () => {
  const told = (...sizes: EtcdSize[]) =>
    etcdCondition({
      etcd: { sizes: async () => sizes, remembers: async () => true },
      key: 'k',
      isOurs: async () => true,
    });
  const member = (bytes: number, rest: Partial<EtcdSize> = {}) => ({
    revision: '5',
    bytes,
    quotaBytes: 100,
    isFull: false,
    ...rest,
  });
  assert.equal(await told(), undefined);
  assert.deepEqual(await told(member(10), member(51)), {
    bytes: 51,
    quotaBytes: 100,
    isFilling: true,
    isUncompacted: false,
  });
  assert.equal((await told(member(50)))?.isFilling, false);
  assert.equal((await told(member(1, { isFull: true })))?.isFilling, true);
});
