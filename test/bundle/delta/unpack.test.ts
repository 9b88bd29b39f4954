/** A release that is taken out of its bundle. */

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DECODER } from '../../../src/bundle/decode/decoder.ts';
import { decodePool } from '../../../src/bundle/decode/pool.ts';
import { leavesOfBundle, unpackRelease } from '../../../src/bundle/delta/unpack.ts';
import { manifestDigest } from '../../../src/bundle/manifest.ts';
import { openBundle } from '../../../src/bundle/reader.ts';
import { blockDigests, saltFor } from '../../../src/bundle/verity.ts';
import { createScratch } from '../../../src/system/disk/scratch.ts';
import { about, bundleBytes, noSignal, someBytes, temporaryFolder } from '../../support/bundles.ts';
import { memorySource } from '../../support/sources.ts';

const pool = decodePool({ entry: DECODER });
after(() => pool[Symbol.asyncDispose]());

const salt = Buffer.from(saltFor(about.product), 'hex');

for (const blocks of [1, 200, 700])
  test(`the blocks and leaves of a release of ${blocks} blocks are those of its images`, async () => {
    await using folder = await temporaryFolder();
    await using scratch = await createScratch(join(folder.path, 'a.delta'));
    const images = { root: someBytes(blocks * 4096), uki: someBytes(300_001, 7) };
    const { bytes, manifestBytes } = await bundleBytes(images);
    const bundle = await openBundle(memorySource(bytes), undefined, noSignal);
    await using release = await unpackRelease(bundle, pool, scratch, noSignal);

    const plain = Buffer.alloc((blocks + 74) * 4096);
    plain.set(images.root);
    plain.set(images.uki, images.root.length);
    assert.equal(release.volume.blocks, blocks + 74);
    assert.equal(release.manifestSha256, manifestDigest(manifestBytes));
    assert.ok(plain.equals(await release.blocks.read(0, blocks + 74)));
    assert.ok(plain.subarray(-3 * 4096).equals(await release.blocks.read(blocks + 71, 3)));
    assert.ok(Buffer.from(blockDigests(salt, plain)).equals(release.leaves));
    assert.ok(Buffer.from(release.leaves).equals(await leavesOfBundle(bundle, pool, noSignal)));
    await assert.rejects(release.blocks.read(blocks + 73, 2), RangeError);
  });

test('the blocks are gone once the release is not needed any more', async () => {
  await using folder = await temporaryFolder();
  await using scratch = await createScratch(join(folder.path, 'a.delta'));
  const { bytes } = await bundleBytes({ root: someBytes(8192), uki: someBytes(100) });
  const bundle = await openBundle(memorySource(bytes), undefined, noSignal);
  const [one, two] = [
    await unpackRelease(bundle, pool, scratch, noSignal),
    await unpackRelease(bundle, pool, scratch, noSignal),
  ];
  assert.equal((await readdir(scratch.path('.'))).length, 2);
  await one[Symbol.asyncDispose]();
  await two[Symbol.asyncDispose]();
  assert.deepEqual(await readdir(scratch.path('.')), []);
});

test('a damaged bundle is refused, and nothing is left of it', async () => {
  await using folder = await temporaryFolder();
  await using scratch = await createScratch(join(folder.path, 'a.delta'));
  const { bytes } = await bundleBytes({ root: someBytes(200 * 4096), uki: someBytes(100) });
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  const bundle = await openBundle(memorySource(bytes), undefined, noSignal);
  await assert.rejects(unpackRelease(bundle, pool, scratch, noSignal), { code: 'frame-mismatch' });
  assert.deepEqual(await readdir(scratch.path('.')), []);
});
