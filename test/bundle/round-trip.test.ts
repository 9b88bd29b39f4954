/** What goes into a bundle comes out of it. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodeFrame } from '../../src/bundle/decode/decode.ts';
import { entryOf } from '../../src/bundle/layout.ts';
import { manifestDigest } from '../../src/bundle/manifest.ts';
import { type Bundle, openBundle } from '../../src/bundle/reader.ts';
import type { Role } from '../../src/model.ts';
import { bundleBytes, noSignal, someBytes, temporaryFolder } from '../support/bundles.ts';
import { memorySource } from '../support/sources.ts';

const images = { root: someBytes(300 * 4096 * 4), uki: someBytes(300_001, 7) };

async function plainOf(bundle: Bundle, role: Role, fromFrame = 0): Promise<Uint8Array> {
  const table = await bundle.frameTable(role, noSignal);
  const plain: Uint8Array[] = [];
  for await (const frame of bundle.compressedFrames(role, table, noSignal, fromFrame)) plain.push(decodeFrame(frame));
  return Buffer.concat(plain);
}

test('every image is read back as it was packed, from the start or from any frame', async () => {
  const { bytes, manifestBytes } = await bundleBytes(images);
  const expected = { sha256: manifestDigest(manifestBytes), size: manifestBytes.length };
  const bundle = await openBundle(memorySource(bytes), expected, noSignal);
  assert.deepEqual(
    bundle.manifest.images.map((image) => image.role),
    ['verity', 'root', 'uki'],
  );
  assert.ok(Buffer.from(images.root).equals(await plainOf(bundle, 'root')));
  assert.ok(Buffer.from(images.uki).equals(await plainOf(bundle, 'uki')));
  assert.ok(Buffer.from(images.root.subarray(3 * 262_144)).equals(await plainOf(bundle, 'root', 3)));
});

test('the same input gives the same bytes', async () => {
  const [one, two] = [await bundleBytes(images), await bundleBytes(images)];
  assert.ok(Buffer.from(one.bytes).equals(two.bytes));
});

test('GNU tar lists a bundle and zstd decodes a blob', async () => {
  await using folder = await temporaryFolder();
  const { bytes } = await bundleBytes(images);
  const path = join(folder.path, 'a.bundle');
  await writeFile(path, bytes);
  assert.equal(
    execFileSync('tar', ['-tf', path], { encoding: 'utf8' }),
    'manifest.json\nverity.frames\nverity.zst\nroot.frames\nroot.zst\nuki.frames\nuki.zst\n',
  );
  const bundle = await openBundle(memorySource(bytes), undefined, noSignal);
  const entry = entryOf(bundle.layout, 'uki', 'blob');
  const plain = execFileSync('zstd', ['-dc'], { input: bytes.subarray(entry.offset, entry.offset + entry.size) });
  assert.ok(plain.equals(images.uki));
});
