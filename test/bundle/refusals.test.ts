/** Every lie that a bundle can tell is refused by name: the rows of the fault table, a byte flipped anywhere, any length. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import type { ByteSource } from '../../src/bundle/byte-source.ts';
import type { DecodeJob } from '../../src/bundle/decode/batch.ts';
import { decodeFrame } from '../../src/bundle/decode/decode.ts';
import type { PlainRun } from '../../src/bundle/decode/pool.ts';
import { bundleLayout, entryOf } from '../../src/bundle/layout.ts';
import { type Image, imageOf, type Manifest } from '../../src/bundle/manifest.ts';
import { auditBundle } from '../../src/bundle/publish/audit.ts';
import { type ExpectedManifest, openBundle } from '../../src/bundle/reader.ts';
import { tarHeader } from '../../src/bundle/tar.ts';
import { UpdateError } from '../../src/errors.ts';
import type { Role } from '../../src/model.ts';
import { about, bundleBytes, noSignal, someBytes } from '../support/bundles.ts';
import {
  assemble,
  entriesOf,
  expectation,
  type ForgedEntry,
  framesOf,
  partOf,
  tableOf,
  withFrames,
} from '../support/forgery.ts';
import { memorySource } from '../support/sources.ts';
import { demoUki } from '../support/uki.ts';

const root = new Uint8Array(3 * 4096).map((_, at) => (at % 3 === 0 ? (at * at) >> 9 : 5));
const { bytes, manifest, manifestBytes } = await bundleBytes({ root, uki: demoUki(root) }, { frameSize: 16_384 });
const expected = expectation(manifestBytes);
const entries = (): ForgedEntry[] => entriesOf(bytes, manifest, manifestBytes.length);

async function* decodeHere(jobs: AsyncIterable<DecodeJob>): AsyncGenerator<PlainRun> {
  for await (const { frame, check } of jobs) yield { offset: frame.offset, bytes: decodeFrame(frame, check) };
}

async function audit(source: ByteSource | Uint8Array, wanted?: ExpectedManifest): Promise<void> {
  const from = source instanceof Uint8Array ? memorySource(source) : source;
  await auditBundle(await openBundle(from, wanted, noSignal), { decode: decodeHere, signal: noSignal });
}

const refused = (source: ByteSource | Uint8Array, code: string, wanted: ExpectedManifest = expected) =>
  assert.rejects(audit(source, wanted), { name: 'UpdateError', code });

/** Even when nobody promised which manifest it has. */
const refusedAnyway = (source: Uint8Array, code: string) =>
  assert.rejects(audit(source), { name: 'UpdateError', code });

/** A bundle with other images, whose manifest agrees with them. */
async function republished(images: readonly (Image | [Image, Uint8Array, Uint8Array])[]): Promise<Uint8Array> {
  const changed: Manifest = { ...manifest, images: images.map((one) => (Array.isArray(one) ? one[0] : one)) };
  const text = new TextEncoder().encode(JSON.stringify(changed));
  const files = images.flatMap((one) => {
    const [image, table, blob] = Array.isArray(one) ? one : [one, part(one.role, 'frames'), part(one.role, 'blob')];
    return [
      { name: `${image.role}.frames`, content: table },
      { name: `${image.role}.zst`, content: blob },
    ];
  });
  return assemble([{ name: 'manifest.json', content: text }, ...files]);
}

const part = (role: Role, name: 'frames' | 'blob') => partOf(bytes, manifest, manifestBytes.length, role, name);
const image = (role: Role): Image => imageOf(manifest, role) as Image;

/** The bundle with one image's frames replaced, and a manifest and table that agree. */
async function withRootFrames(change: (frames: Uint8Array[]) => Uint8Array[]): Promise<Uint8Array> {
  const frames = framesOf(part('root', 'frames'), part('root', 'blob'), image('root'));
  const forged = withFrames(image('root'), change(frames));
  return republished([image('verity'), [forged.image, forged.table, forged.blob], image('uki')]);
}

test('the untouched bundle is accepted', async () => {
  await audit(bytes, expected);
  await audit(await republished(manifest.images));
  await audit(memorySource(bytes, 1));
});

test('B1: what is no bundle, or ends early, is refused', async () => {
  await refused(new Uint8Array(0), 'bundle-format');
  await refused(someBytes(100_000), 'bundle-format');
  await refused(bytes.subarray(0, -1), 'bundle-size');
  await refused(bytes.subarray(0, 2000), 'bundle-size');
});

test('B2: a bundle begins with its manifest', async () => {
  const [first, second, ...rest] = entries() as [ForgedEntry, ForgedEntry, ...ForgedEntry[]];
  await refused(await assemble([second, first, ...rest]), 'bundle-format');
});

test('B3: a manifest over the limit is not read', async () => {
  const header = await tarHeader('manifest.json', 1024 * 1024 + 1);
  const source: ByteSource = {
    name: 'large',
    size: 4 * 1024 * 1024,
    async *open(offset) {
      yield header;
      assert.equal(offset, 0);
      assert.fail('more than the header was read');
    },
  };
  await assert.rejects(openBundle(source, undefined, noSignal), { code: 'manifest-too-large' });
  await refused(source, 'manifest-too-large', { ...expected, size: 2 * 1024 * 1024 });
});

test('B4: a manifest that is not the promised one is not even parsed', async () => {
  const [first, ...rest] = entries() as [ForgedEntry, ...ForgedEntry[]];
  const content = new Uint8Array(first.content).fill(0x7b);
  await refused(await assemble([{ ...first, content }, ...rest]), 'manifest-mismatch');
  await refused(bytes, 'manifest-mismatch', { ...expected, size: expected.size - 1 });
  await assert.rejects(
    openBundle(memorySource(await assemble([{ ...first, content }, ...rest])), undefined, noSignal),
    {
      code: 'manifest-invalid',
    },
  );
});

test('B5, B6: entries that are doubled, added, absent or in another order are refused', async () => {
  const all = entries();
  const swapped = [all[0], all[3], all[4], all[1], all[2], all[5], all[6]] as ForgedEntry[];
  await refused(await assemble(swapped), 'bundle-entry');
  await refused(await assemble([...all, ...all.slice(-1)]), 'bundle-size');
  await refused(await assemble([...all, { name: 'more', content: new Uint8Array(0) }]), 'bundle-size');
  await refused(await assemble(all.slice(0, -1)), 'bundle-size');
});

test('B7: only a plain file is an entry', async () => {
  for (const type of [...'1234567xgLKSVADMN', '\0'])
    for (const which of [0, 1, 4])
      await refused(await withHeader(which, (header) => header.set([type.charCodeAt(0)], 156)), headerCode(which));
});

test('B8: an entry has the name that the format gives it', async () => {
  const names = ['../x', '/root.zst', './root.zst', 'root.zst\0x', 'r\u00f6ot.zst', 'x'.repeat(100), ''];
  for (const name of names)
    for (const which of [0, 4]) {
      const patch = (header: Uint8Array): void => {
        header.fill(0, 0, 100);
        header.set(Buffer.from(name, 'latin1'));
      };
      await refused(await withHeader(which, patch), headerCode(which));
    }
  await refused(await withHeader(4, (header) => header.set(Buffer.from('sub'), 345)), 'bundle-entry');
});

test('B9: a header is the canonical one or none', async () => {
  const size = (text: string) => (header: Uint8Array) => header.set(Buffer.from(text, 'latin1'), 124);
  const patches = [
    size('\x80\0\0\0\0\0\0\0\0\0\x10\0'),
    size('       1000 '),
    size('-0000001000 '),
    (header: Uint8Array) => header.set(Buffer.from('0000755'), 100),
    (header: Uint8Array) => header.set(Buffer.from('0000001'), 108),
    (header: Uint8Array) => header.set(Buffer.from('00000000001'), 136),
    (header: Uint8Array) => header.set(Buffer.from('root'), 265),
    (header: Uint8Array) => header.set(Buffer.from('ustar  \0'), 257),
  ];
  for (const patch of patches)
    for (const which of [0, 3]) await refused(await withHeader(which, patch), headerCode(which));
  await refused(await withHeader(0, size('77777777777 ')), 'manifest-mismatch');
  const wrongSum = await withHeader(3, (header) => header.set(Buffer.from('777777'), 148), true);
  await refused(wrongSum, 'bundle-entry');
});

test('B11, B12: padding and the end are zeros, and nothing follows', async () => {
  await refused(await assemble(entries(), { end: new Uint8Array(512) }), 'bundle-size');
  await refused(await assemble(entries(), { end: new Uint8Array(1536) }), 'bundle-size');
  for (const at of [0, 1023])
    await refused(await assemble(entries(), { end: new Uint8Array(1024).fill(1, at, at + 1) }), 'bundle-padding');
  for (const index of entries().keys()) {
    const forged = entries().map((entry, place) => (place === index ? { ...entry, padding: 1 } : entry));
    if ((forged[index]?.content.length ?? 0) % 512 !== 0) await refused(await assemble(forged), 'bundle-padding');
  }
});

test('B13: a frame never grows beyond its promised size', async () => {
  const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024), { pledgedSrcSize: 64 * 1024 * 1024 });
  await refusedAnyway(await withRootFrames(() => [bomb]), 'frame-invalid');
  // The same blocks behind a header that says what is expected.
  const lying = Buffer.concat([
    Buffer.from('28b52ffd60', 'hex'),
    Buffer.from([0, 0x2f]),
    bomb.subarray(bomb[4] === 0xa4 ? 10 : 9),
  ]);
  await refusedAnyway(await withRootFrames(() => [lying]), 'frame-invalid');
});

const plainFrame = zstdCompressSync(root, { pledgedSrcSize: root.length });
const skippable = Buffer.from('502a4d180400000061626364', 'hex');

test('B14, B15: a frame is one zstd frame, nothing before, beside or behind it', async () => {
  for (const frame of [
    Buffer.concat([plainFrame, Buffer.from([0])]),
    Buffer.concat([plainFrame, plainFrame]),
    Buffer.concat([plainFrame, skippable]),
    Buffer.concat([skippable, plainFrame]),
    skippable,
    Buffer.alloc(5),
  ])
    await refusedAnyway(await withRootFrames(() => [frame]), 'frame-invalid');
  await audit(await withRootFrames(() => [plainFrame]));
});

test('B16: a changed bit in a frame, a table or an image is found', async () => {
  const blob = entryOf(bundleLayout(manifestBytes.length, manifest), 'root', 'blob');
  await refused(flipped(blob.offset + (blob.size >> 1)), 'frame-mismatch');
  const other = new Uint8Array(root);
  other[5000] = 77;
  const changed = zstdCompressSync(other, { pledgedSrcSize: root.length });
  await refusedAnyway(await withRootFrames(() => [changed]), 'image-mismatch');
  const frame = { index: 0, offset: 0, plainSize: root.length, sha256: new Uint8Array(32), unchecked: changed };
  assert.throws(() => decodeFrame(frame), { code: 'frame-mismatch' });
});

test('B17: a frame that is cut off is refused', async () => {
  for (const cut of [1, 100, plainFrame.length - 4])
    await refusedAnyway(await withRootFrames(() => [plainFrame.subarray(0, -cut)]), 'frame-invalid');
});

test('B18: a frame that wants a window or a dictionary is refused before it is decoded', async () => {
  const rest = plainFrame.subarray(plainFrame[4] === 0x60 ? 7 : 9);
  const size = Buffer.from([0, 0x2f]);
  for (const head of ['28b52ffd4088', '28b52ffd40b8'])
    await refusedAnyway(
      await withRootFrames(() => [Buffer.concat([Buffer.from(head, 'hex'), size, rest])]),
      'frame-invalid',
    );
  await refusedAnyway(
    await withRootFrames(() => [Buffer.concat([Buffer.from('28b52ffd6107', 'hex'), size, rest])]),
    'frame-invalid',
  );
});

test('B19: a frame table that does not fit is refused before anything is fetched', async () => {
  const frames = framesOf(part('root', 'frames'), part('root', 'blob'), image('root'));
  const forge = async (table: Uint8Array) => {
    const forged = withFrames(image('root'), frames);
    const changed = { ...forged.image, frames: withFrames(image('root'), [table]).image.blob };
    return republished([image('verity'), [changed, table, forged.blob], image('uki')]);
  };
  const lengths = (length: number): Uint8Array => {
    const table = tableOf(frames);
    new DataView(table.buffer).setUint32(0, length, true);
    return table;
  };
  for (const length of [0, 1, 0xffffffff]) await refusedAnyway(await forge(lengths(length)), 'frame-table-invalid');
  await refusedAnyway(await forge(new Uint8Array(72)), 'manifest-invalid');
  const table = entries().map((entry) => (entry.name === 'root.frames' ? { ...entry, content: lengths(5) } : entry));
  await refused(await assemble(table), 'frame-table-mismatch');
});

test('B24: a tree or root hash of another build is refused', async () => {
  const other = await bundleBytes({ root: someBytes(3 * 4096, 9), uki: demoUki(root) }, { frameSize: 16_384 });
  const theirs = entriesOf(other.bytes, other.manifest, other.manifestBytes.length);
  const foreign = imageOf(other.manifest, 'verity') as Image;
  const [, table, blob] = theirs as [ForgedEntry, ForgedEntry, ForgedEntry];
  await refusedAnyway(
    await republished([[foreign, table.content, blob.content], image('root'), image('uki')]),
    'tree-invalid',
  );
  const verity = imageOf(other.manifest, 'root')?.verity as NonNullable<Image['verity']>;
  await refusedAnyway(
    await republished([image('verity'), { ...image('root'), verity }, image('uki')]),
    'image-mismatch',
  );
  await refusedAnyway(other.bytes, 'uki-mismatch');
});

test('any byte changed anywhere is found, and it is the way here that is to blame, not the release', async () => {
  const harmless = async (at: number, bit: number): Promise<void> => {
    const error = await audit(flipped(at, 1 << bit), expected).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof UpdateError && error.code !== 'unexpected', `byte ${at}, bit ${bit}: ${error}`);
    assert.notEqual(error.entry.retry, 'never', `byte ${at}, bit ${bit}: ${error}`);
  };
  for (let at = 0; at < 512; at += 1) await harmless(at, at % 8);
  await fc.assert(fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(7), harmless), { numRuns: 600 });
});

test('a page that a server sends instead of the bundle is not the release’s fault', async () => {
  const header = await tarHeader('manifest.json', 1024 * 1024 + 1);
  for (const instead of [new TextEncoder().encode('<html>'.repeat(1000)), new Uint8Array(5000), header]) {
    const answer = new Uint8Array(bytes);
    answer.set(instead.subarray(0, bytes.length));
    const error = await audit(answer, expected).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof UpdateError);
    assert.notEqual(error.entry.retry, 'never', error.code);
  }
});

test('any other length is found', async () => {
  const lengths = fc.oneof(fc.nat(bytes.length - 1), fc.integer({ min: bytes.length + 1, max: bytes.length + 4096 }));
  await fc.assert(
    fc.asyncProperty(lengths, fc.nat(255), async (length, filler) => {
      const other = new Uint8Array(length).fill(filler);
      other.set(bytes.subarray(0, length));
      const error = await audit(other, expected).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof UpdateError && /^bundle-(format|size)$/.test(error.code), String(error));
    }),
    { numRuns: 200 },
  );
});

test('a source that ends before it said is refused', async () => {
  const source = memorySource(bytes.subarray(0, bytes.length - 1500));
  await refused({ ...source, size: bytes.length }, 'bundle-size');
});

test('reading stops when it is told to', async () => {
  const stop = new AbortController();
  const bundle = await openBundle(memorySource(bytes), expected, stop.signal);
  stop.abort(new UpdateError('interrupted'));
  await assert.rejects(bundle.frameTable('root', stop.signal), { code: 'interrupted' });
  assert.equal(about.product, bundle.manifest.product);
});

function flipped(at: number, mask = 1): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[at] = (copy[at] ?? 0) ^ mask;
  return copy;
}

async function withHeader(
  index: number,
  patch: (header: Uint8Array) => void,
  keepChecksum = false,
): Promise<Uint8Array> {
  const forged = entries().map((entry, place) => (place === index ? { ...entry, patch } : entry));
  return assemble(forged, { keepChecksum });
}

const headerCode = (index: number): string => (index === 0 ? 'bundle-format' : 'bundle-entry');
