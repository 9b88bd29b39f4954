/** Nothing overflows where a bundle passes 8 GiB, and what cannot be read twice is refused. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodeFrame } from '../../src/bundle/decode/decode.ts';
import { encodeFrameEntry } from '../../src/bundle/frames.ts';
import { bundleLayout, entryOf } from '../../src/bundle/layout.ts';
import { type Image, imageOf, type Manifest, serializeManifest } from '../../src/bundle/manifest.ts';
import { openBundle } from '../../src/bundle/reader.ts';
import { tarHeader } from '../../src/bundle/tar.ts';
import { treeLayout } from '../../src/bundle/verity.ts';
import { fileSource } from '../../src/system/disk/file-source.ts';
import { bundleBytes, noSignal, someBytes, temporaryFolder } from '../support/bundles.ts';
import { entriesOf, sealed } from '../support/forgery.ts';

test('an image behind an entry of 8 GiB - 1 is found and read', async () => {
  const uki = someBytes(70_000);
  const small = await bundleBytes({ root: someBytes(8192), uki });
  const parts = new Map(
    entriesOf(small.bytes, small.manifest, small.manifestBytes.length).map((entry) => [entry.name, entry.content]),
  );
  const blobSize = 8 * 2 ** 30 - 1;
  const frameSize = 1024 * 1024;
  const size = 64 * 2 ** 30;
  const count = size / frameSize;
  const even = Math.floor(blobSize / count);
  const lengths = Array.from({ length: count }, (_, index) => (index === 0 ? blobSize - even * (count - 1) : even));
  const table = Buffer.concat(lengths.map((length) => encodeFrameEntry(length, new Uint8Array(32))));
  const [verity, root] = [imageOf(small.manifest, 'verity'), imageOf(small.manifest, 'root')] as [Image, Image];
  const dataBlocks = size / 4096;
  const treeSize = treeLayout(dataBlocks).size;
  const treeFrames = Math.ceil(treeSize / frameSize);
  const manifest: Manifest = {
    ...small.manifest,
    images: [
      { ...verity, size: treeSize, frameSize, frames: { ...verity.frames, size: treeFrames * 36 } },
      {
        ...root,
        size,
        frameSize,
        frames: sealed(table),
        blob: { ...root.blob, size: blobSize },
        verity: { ...(root.verity as NonNullable<Image['verity']>), dataBlocks },
      },
      imageOf(small.manifest, 'uki') as Image,
    ],
  };
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'large.bundle');
  const bytes = serializeManifest(manifest);
  const layout = bundleLayout(bytes.length, manifest);
  await using file = await open(path, 'w');
  await file.truncate(layout.size);
  for (const entry of layout.entries) await file.write(await tarHeader(entry.name, entry.size), 0, 512, entry.header);
  for (const [name, content] of [['manifest.json', bytes], ['root.frames', table], ...parts] as const) {
    const entry = layout.entries.find((one) => one.name === name && one.size === content.length);
    if (entry) await file.write(content, 0, content.length, entry.offset);
  }
  await using source = await fileSource(path);
  const bundle = await openBundle(source, undefined, noSignal);
  assert.ok(entryOf(bundle.layout, 'uki', 'blob').offset > 8 * 2 ** 30);
  const plain: Uint8Array[] = [];
  for await (const frame of bundle.compressedFrames('uki', await bundle.frameTable('uki', noSignal), noSignal))
    plain.push(decodeFrame(frame));
  assert.ok(Buffer.concat(plain).equals(uki));
  const rootTable = await bundle.frameTable('root', noSignal);
  for await (const frame of bundle.compressedFrames('root', rootTable, noSignal, count - 1)) {
    assert.equal(frame.offset, size - frameSize);
    assert.throws(() => decodeFrame(frame), { code: 'frame-mismatch' });
  }
});

test('B27: a pipe, a device and a folder are refused at once', async () => {
  await using folder = await temporaryFolder();
  const pipe = join(folder.path, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const path of [pipe, '/dev/null', folder.path])
    await assert.rejects(fileSource(path), { name: 'UpdateError', code: 'source-unreadable' });
});
