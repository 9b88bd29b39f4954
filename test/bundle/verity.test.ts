/** Our tree is veritysetup's tree, byte for byte. */

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseSuperblock } from '../../src/bundle/superblock.ts';
import {
  BLOCK,
  blockDigests,
  createTreeBuilder,
  leafDigestsAt,
  saltFor,
  superblock,
  treeLayout,
  treeUuid,
} from '../../src/bundle/verity.ts';
import type { Product, Sha256 } from '../../src/model.ts';
import { realExec, run } from '../../src/system/process/exec.ts';
import { someBytes, temporaryFolder } from '../support/bundles.ts';

const salt = saltFor('demo' as Product);

function treeOf(image: Uint8Array): { rootHash: Sha256; tree: Uint8Array } {
  const blocks = image.length / BLOCK;
  const tree = new Uint8Array(treeLayout(blocks).size);
  const builder = createTreeBuilder(salt, blocks, (offset, block) => tree.set(block, offset));
  for (let at = 0; at < image.length; at += 64 * BLOCK) builder.addBlocks(image.subarray(at, at + 64 * BLOCK));
  const rootHash = builder.finish();
  tree.set(superblock(salt, treeUuid(rootHash), blocks));
  return { rootHash, tree };
}

const dashed = (uuid: Uint8Array): string =>
  Buffer.from(uuid)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');

for (const blocks of [1, 2, 127, 128, 129, 128 * 128, 128 * 128 + 1]) {
  test(`veritysetup makes the same tree over ${blocks} blocks and accepts ours`, async () => {
    await using folder = await temporaryFolder();
    const [data, ours, theirs] = ['data', 'ours', 'theirs'].map((name) => join(folder.path, name)) as [
      string,
      string,
      string,
    ];
    const image = someBytes(blocks * BLOCK, blocks);
    const { rootHash, tree } = treeOf(image);
    await writeFile(data, image);
    await writeFile(ours, tree);
    const uuid = `--uuid=${dashed(treeUuid(rootHash))}`;
    const output = await run(realExec, 'veritysetup', ['format', `--salt=${salt}`, uuid, data, theirs], {
      package: 'cryptsetup-bin',
    });
    assert.match(output, new RegExp(`Root hash:\\s+${rootHash}`));
    assert.ok((await readFile(theirs)).equals(tree), 'the trees differ');
    await run(realExec, 'veritysetup', ['verify', data, ours, rootHash]);
  });
}

test('leaves read from the tree are the digests of the blocks, wherever one begins', async () => {
  for (const blocks of [1, 200]) {
    const image = someBytes(blocks * BLOCK);
    const { rootHash, tree } = treeOf(image);
    const read = async (offset: number, length: number) => tree.subarray(offset, offset + length);
    for (const [first, count] of [
      [0, blocks],
      [blocks - 1, 1],
      [0, 0],
    ] as const)
      assert.deepEqual(
        Buffer.from(await leafDigestsAt(read, { rootHash, dataBlocks: blocks }, first, count)),
        Buffer.from(blockDigests(Buffer.from(salt, 'hex'), image.subarray(first * BLOCK, (first + count) * BLOCK))),
      );
    await assert.rejects(leafDigestsAt(read, { rootHash, dataBlocks: blocks }, 0, blocks + 1), RangeError);
  }
});

test('a superblock is read as it was written, and nothing else is', () => {
  const block = superblock(salt, treeUuid(salt), 77);
  assert.deepEqual(parseSuperblock(block, 'tree'), { salt, dataBlocks: 77 });
  for (const at of [0, 8, 12, 32, 64, 68, 79]) {
    const other = new Uint8Array(block);
    other[at] = (other[at] ?? 0) ^ 1;
    assert.throws(() => parseSuperblock(other, 'tree'), { code: 'tree-unknown' }, `byte ${at}`);
  }
  assert.throws(() => parseSuperblock(new Uint8Array(BLOCK), 'tree'), { code: 'tree-unknown' });
});

test('a tree over fewer or more blocks than announced is not finished', () => {
  const builder = createTreeBuilder(salt, 3);
  builder.addBlocks(new Uint8Array(2 * BLOCK));
  assert.throws(() => builder.finish(), /3 blocks; 2 were given/);
});
