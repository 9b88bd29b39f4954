import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { sharedRead } from '../../../src/server/fleet/shared-read.ts';

type Pending = Readonly<{ resolve(value: string): void; reject(error: Error): void }>;

/** Reads that end when the test says so, in the order in which they began. */
function reads() {
  const pending: Pending[] = [];
  const read = sharedRead(() => new Promise<string>((resolve, reject) => pending.push({ resolve, reject })));
  return { read, pending };
}

test('callers of the same moment share one read', async () => {
  const { read, pending } = reads();
  const both = Promise.all([read(), read()]);
  await turn();
  assert.equal(pending.length, 1);
  pending[0]?.resolve('one');
  assert.deepEqual(await both, ['one', 'one']);
});

test('who asks during a read gets one that begins later, and shares it', async () => {
  const { read, pending } = reads();
  const early = read();
  await turn();
  const late = Promise.all([read(), read()]);
  await turn();
  assert.equal(pending.length, 1);
  pending[0]?.resolve('old');
  assert.equal(await early, 'old');
  await turn();
  assert.equal(pending.length, 2);
  pending[1]?.resolve('new');
  assert.deepEqual(await late, ['new', 'new']);
});

test('a failed read fails for those who share it, and the next one is tried', async () => {
  const { read, pending } = reads();
  const failed = assert.rejects(read(), /disk/);
  await turn();
  const after = read();
  pending[0]?.reject(new Error('disk'));
  await failed;
  await turn();
  pending[1]?.resolve('whole');
  assert.equal(await after, 'whole');
});

test('a read that throws at once fails only its callers', async () => {
  let times = 0;
  const read = sharedRead(() => {
    times += 1;
    if (times === 1) throw new Error('no folder');
    return Promise.resolve('whole');
  });
  await assert.rejects(read(), /no folder/);
  assert.equal(await read(), 'whole');
});
