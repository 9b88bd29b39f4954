/** A manifest is what the format says, to the last number, or it is refused by name. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FRAME_ENTRY, frameCount } from '../../src/bundle/frames.ts';
import { bundleLayout, entryOf } from '../../src/bundle/layout.ts';
import { type Image, type Manifest, parseManifest, serializeManifest } from '../../src/bundle/manifest.ts';
import { tarHeader } from '../../src/bundle/tar.ts';
import { BLOCK, treeLayout } from '../../src/bundle/verity.ts';
import { UpdateError } from '../../src/errors.ts';
import type { Role, Sha256 } from '../../src/model.ts';
import { about } from '../support/bundles.ts';

const GIB = 2 ** 30;
const digest = 'ab'.repeat(32) as Sha256;

function image(role: Role, size: number, blobSize = Math.ceil(size / 3), more: Partial<Image> = {}): Image {
  const frameSize = 262_144;
  return {
    role,
    kind: role === 'uki' ? 'file' : 'partition',
    size,
    sha256: digest,
    frameSize,
    frames: { size: frameCount({ size, frameSize }) * FRAME_ENTRY, sha256: digest },
    blob: { size: blobSize, sha256: digest },
    ...more,
  };
}

function manifestOf(rootSize: number, blobSize?: number): Manifest {
  const dataBlocks = Math.floor(rootSize / BLOCK);
  const verity = { rootHash: digest, salt: digest, dataBlocks };
  const tree = image('verity', treeLayout(dataBlocks).size);
  return { schema: 1, ...about, images: [tree, image('root', rootSize, blobSize, { verity }), image('uki', 123_457)] };
}

const good = manifestOf(64 * 1024 * 1024);
const parse = (value: unknown): Manifest => parseManifest(new TextEncoder().encode(JSON.stringify(value)));
const refused = (value: unknown, message: RegExp, code = 'manifest-invalid') =>
  assert.throws(() => parse(value), { name: 'UpdateError', code, message });

const change = (role: Role, more: Partial<Image>): unknown => ({
  ...good,
  images: good.images.map((one) => (one.role === role ? { ...one, ...more } : one)),
});
const changeVerity = (more: object): unknown =>
  change('root', { verity: { ...(good.images[1]?.verity as object), ...more } as NonNullable<Image['verity']> });

test('a manifest is read back as it was written', () => {
  assert.deepEqual(parseManifest(serializeManifest(good)), good);
  assert.deepEqual(serializeManifest(parseManifest(serializeManifest(good))), serializeManifest(good));
});

test('fields are exactly those of the format', () => {
  refused({ ...good, extra: 1 }, /manifest\.extra must be absent/);
  refused({ ...good, counter: 0 }, /manifest\.counter/);
  refused({ ...good, counter: 1.5 }, /manifest\.counter/);
  refused({ ...good, schema: 2 }, /manifest\.schema must be 1/);
  refused({ ...good, product: '../x' }, /manifest\.product/);
  refused({ ...good, version: '1+2' }, /manifest\.version/);
  refused({ ...good, minAgent: '1' }, /manifest\.minAgent/);
  refused({ ...good, images: {} }, /manifest\.images must be a list/);
  refused(change('root', { size: 2 ** 60 }), /manifest\.images\[1\]\.size/);
  refused(change('root', { sha256: 'AB'.repeat(32) as Sha256 }), /64 lower-case hex/);
  assert.throws(() => parseManifest(new TextEncoder().encode('{')), { code: 'manifest-invalid' });
  assert.throws(() => parseManifest(Buffer.from([0xff])), { code: 'manifest-invalid' });
  assert.throws(() => parseManifest(new Uint8Array(1024 * 1024 + 1)), { code: 'manifest-too-large' });
});

test('images are verity, root and uki, once each and in this order', () => {
  const [verity, root, uki] = good.images as [Image, Image, Image];
  refused({ ...good, images: [root, verity, uki] }, /the order is verity, root, uki/);
  refused({ ...good, images: [verity, root, root] }, /the order is/);
  refused({ ...good, images: [verity, uki] }, /no root image/);
  refused({ ...good, images: [root, uki] }, /verity image must have/);
  refused(change('uki', { kind: 'partition' }), /must be a file/);
  refused(change('uki', { verity: root.verity as NonNullable<Image['verity']> }), /must not have a verity tree/);
});

test('B22, B23: sizes are whole blocks within the limits', () => {
  refused(change('root', { size: 64 * 1024 * 1024 + 512 }), /not a multiple of 4096/);
  refused(change('root', { size: 64 * GIB + 4096 }), /64 GiB/, 'image-too-large');
  refused(change('root', { blob: { size: 8 * GIB, sha256: digest } }), /8 GiB/, 'image-too-large');
  refused(change('root', { frameSize: 300_000 }), /not a power of two/);
  refused(change('root', { frames: { size: 36, sha256: digest } }), /256 frames/);
  refused(change('uki', { blob: { size: 1_000_000, sha256: digest } }), /more compressed bytes/);
  // 4 million frames: a table too large to hold.
  const many = image('root', 64 * GIB, 8 * GIB - 1, { frameSize: 16_384, verity: good.images[1]?.verity as never });
  const frames = { size: frameCount(many) * FRAME_ENTRY, sha256: digest };
  refused({ ...good, images: [good.images[0], { ...many, frames }, good.images[2]] }, /frame table/);
});

test('the tree is the one that fits the root image, beside it or behind its data', () => {
  refused(
    change('verity', { size: 4096, frames: { size: 36, sha256: digest }, blob: { size: 1, sha256: digest } }),
    /must have/,
  );
  refused(changeVerity({ dataBlocks: 100 }), /are not the/);
  refused(changeVerity({ dataBlocks: 1e9 }), /do not fit/);
  const data = 1000;
  const size = (data + 20) * BLOCK;
  const appended = (hashOffset: number): unknown => {
    const verity = { rootHash: digest, salt: digest, dataBlocks: data, hashOffset };
    return { ...good, images: [image('root', size, undefined, { verity }), good.images[2]] };
  };
  assert.equal(parse(appended(data * BLOCK)).images[0]?.verity?.hashOffset, data * BLOCK);
  refused(appended(data * BLOCK + 512), /not a block/);
  refused(appended((data - 1) * BLOCK), /after the data/);
  refused(appended((data + 19) * BLOCK), /past the end/);
});

test('B10: places are right beyond 2, 4 and 8 GiB', async () => {
  for (const size of [2 * GIB + BLOCK, 4 * GIB + BLOCK, 8 * GIB + BLOCK, 64 * GIB]) {
    const blobSize = Math.min(8 * GIB - 1, size);
    const manifest = parse(manifestOf(size, blobSize));
    const layout = bundleLayout(1000, manifest);
    const [blob, uki] = [entryOf(layout, 'root', 'blob'), entryOf(layout, 'uki', 'frames')];
    assert.equal(uki.header, blob.offset + blobSize + ((512 - (blobSize % 512)) % 512));
    assert.equal(layout.size, entryOf(layout, 'uki', 'blob').end + 1024);
    const digits = Buffer.from(await tarHeader('root.zst', blobSize)).toString('latin1', 124, 136);
    assert.equal(digits, `${blobSize.toString(8).padStart(11, '0')} `);
  }
});

test('any change to a manifest is accepted or refused with a named error', () => {
  const text = JSON.stringify(good);
  const harmless = (bytes: Uint8Array): void => {
    try {
      bundleLayout(bytes.length, parseManifest(bytes));
    } catch (error) {
      assert.ok(error instanceof UpdateError && error.code !== 'unexpected', String(error));
    }
  };
  const edit = fc.tuple(fc.nat(text.length), fc.nat(12), fc.string({ maxLength: 8 }));
  fc.assert(
    fc.property(edit, ([at, length, by]) => harmless(Buffer.from(text.slice(0, at) + by + text.slice(at + length)))),
    { numRuns: 1000 },
  );
  const fields = fc.constantFrom('size', 'frameSize', 'frames', 'blob', 'verity', 'role', 'kind', 'sha256');
  const values = fc.oneof(
    fc.jsonValue(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double(),
    fc.constantFrom(0, -1, 4096, 2 ** 40, 2 ** 50),
  );
  fc.assert(
    fc.property(fc.nat(2), fields, values, (which, field, value) => {
      const images = good.images.map((one, index) => (index === which ? { ...one, [field]: value } : one));
      harmless(Buffer.from(JSON.stringify({ ...good, images })));
    }),
    { numRuns: 1000 },
  );
});
