/** The archive fails as its content fails, once and with the same error. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tarArchive, tarHeader } from '../../src/bundle/tar.ts';
import { UpdateError } from '../../src/errors.ts';
import { someBytes } from '../support/bundles.ts';

async function* pieces(size: number, failAfter = size): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < size; at += 65_536) {
    if (at >= failAfter) throw new UpdateError('file-changed');
    yield someBytes(Math.min(65_536, size - at));
  }
}

async function lengthOf(archive: AsyncIterable<Uint8Array>): Promise<number> {
  let length = 0;
  for await (const chunk of archive) length += chunk.length;
  return length;
}

test('an archive has the bytes that its entries say', async () => {
  const entries = [
    { name: 'a', size: 1_000_000, content: pieces(1_000_000) },
    { name: 'b', size: 5, content: pieces(5) },
  ];
  assert.equal(await lengthOf(tarArchive(entries)), 512 + 1_000_448 + 512 + 512 + 1024);
  assert.equal((await tarHeader('a', 7)).length, 512);
});

test('a failing entry fails the archive, at any place', async () => {
  for (const failAfter of [0, 65_536, 655_360])
    await assert.rejects(
      lengthOf(tarArchive([{ name: 'a', size: 1_000_000, content: pieces(1_000_000, failAfter) }])),
      {
        code: 'file-changed',
      },
    );
});

test('an entry of another size than it said fails the archive', async () => {
  for (const size of [10, 2_000_000])
    await assert.rejects(lengthOf(tarArchive([{ name: 'a', size, content: pieces(1_000_000) }])));
});

test('a reader that stops early leaves nothing behind that fails later', async () => {
  for await (const _ of tarArchive([{ name: 'a', size: 1_000_000, content: pieces(1_000_000) }])) break;
  await new Promise((resolve) => setImmediate(resolve));
});
