/** A blocks file is made from bundles, and its frames go through the threads that decode those of a bundle. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DECODER } from '../../../src/bundle/decode/decoder.ts';
import { decodePool } from '../../../src/bundle/decode/pool.ts';
import { buildBlocks } from '../../../src/bundle/delta/blocks-build.ts';
import { parseBlocksHead } from '../../../src/bundle/delta/blocks-head.ts';
import { leavesOfBundle, type UnpackedRelease, unpackRelease } from '../../../src/bundle/delta/unpack.ts';
import { openBundle } from '../../../src/bundle/reader.ts';
import { BLOCK } from '../../../src/bundle/verity.ts';
import { createScratch, type Scratch } from '../../../src/system/disk/scratch.ts';
import { realFiles } from '../../../src/system/files.ts';
import { bundleBytes, noSignal, someBytes, temporaryFolder } from '../../support/bundles.ts';
import { memorySource } from '../../support/sources.ts';

const pool = decodePool({ entry: DECODER });
after(() => pool[Symbol.asyncDispose]());

const bundleOf = async (root: Uint8Array, uki: Uint8Array) =>
  openBundle(memorySource((await bundleBytes({ root, uki })).bytes), undefined, noSignal);

const oldRoot = someBytes(700 * BLOCK);
const newRoot = Buffer.concat([oldRoot.subarray(0, 300 * BLOCK), someBytes(400 * BLOCK, 99), new Uint8Array(BLOCK)]);
const older = await leavesOfBundle(await bundleOf(oldRoot, someBytes(50_000, 3)), pool, noSignal);
const newer = await bundleOf(newRoot, someBytes(60_000, 4));

/** Does something with the unpacked new release in a folder of its own. */
async function withRelease(use: (release: UnpackedRelease, scratch: Scratch, path: string) => Promise<void>) {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'a.blocks');
  await using scratch = await createScratch(path);
  await using release = await unpackRelease(newer, pool, scratch, noSignal);
  await use(release, scratch, path);
}

test('the news are the blocks that the older release lacks, however low the level', () =>
  withRelease(async (release, scratch, path) => {
    const seen: [number, number][] = [];
    const progress = (done: number, total: number): void => void seen.push([done, total]);
    const out = { path, files: realFiles, scratch };
    const built = await buildBlocks(release, [older], out, { signal: noSignal, level: 1, progress });
    const bytes = new Uint8Array(await readFile(path));
    assert.equal(built.size, bytes.length);
    assert.equal(built.sha256, createHash('sha256').update(bytes).digest('hex'));
    assert.equal(built.head.sha256, createHash('sha256').update(bytes.subarray(0, built.head.size)).digest('hex'));

    const { news, frames } = parseBlocksHead(bytes.subarray(0, built.head.size), release.volume);
    assert.equal(news.length, 400 + 15);
    assert.deepEqual(seen.at(-1), [news.length * BLOCK, news.length * BLOCK]);
    const jobs = async function* () {
      for (let index = 0; index < frames.count; index += 1) {
        const [first = 0, end = 0] = frames.firsts.subarray(index, index + 2);
        const unchecked = bytes.subarray(...frames.offsets.subarray(index, index + 2));
        const plainSize = (end - first) * BLOCK;
        yield { frame: { index, offset: first * BLOCK, plainSize, sha256: frames.sha256(index), unchecked } };
      }
    };
    let checked = 0;
    for await (const { offset, bytes: plain } of pool.map(jobs()))
      for (let at = 0; at < plain.length; at += BLOCK, checked += 1) {
        const block = await release.blocks.read(news[(offset + at) / BLOCK] ?? -1, 1);
        assert.ok(Buffer.from(plain.subarray(at, at + BLOCK)).equals(block));
      }
    assert.equal(checked, news.length);
  }));

test('a build that is given up leaves nothing behind', () =>
  withRelease(async (release, scratch, path) => {
    const before = await readdir(scratch.path('.'));
    const giveUp = new AbortController();
    const out = { path, files: realFiles, scratch };
    const options = { signal: giveUp.signal, level: 1, progress: () => giveUp.abort() };
    await assert.rejects(buildBlocks(release, [older], out, options), { name: 'AbortError' });
    assert.deepEqual(await readdir(scratch.path('.')), before);
    assert.ok(!(await readdir(join(path, '..'))).includes('a.blocks'));
  }));
