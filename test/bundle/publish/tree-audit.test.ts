/** The tree that a bundle carries must be the one that its root image has, wherever it lies. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTreeAudit } from '../../../src/bundle/publish/tree-audit.ts';
import { BLOCK, createTreeBuilder, saltFor, superblock, treeLayout } from '../../../src/bundle/verity.ts';
import { about, someBytes } from '../../support/bundles.ts';

const salt = saltFor(about.product);
const dataBlocks = 300;
const data = someBytes(dataBlocks * BLOCK);
const { size } = treeLayout(dataBlocks);
const tree = new Uint8Array(size);
const builder = createTreeBuilder(salt, dataBlocks, (offset, block) => tree.set(block, offset));
builder.addBlocks(data);
const rootHash = builder.finish();
tree.set(superblock(salt, new Uint8Array(16).fill(5), dataBlocks));

const PIECE = 64 * BLOCK;
function feed(bytes: Uint8Array, add: (offset: number, piece: Uint8Array) => void): void {
  for (let at = 0; at < bytes.length; at += PIECE) add(at, bytes.subarray(at, at + PIECE));
}

function auditApart(root: Uint8Array, hashes: Uint8Array): void {
  const audit = createTreeAudit({ rootHash, salt, dataBlocks });
  feed(root, audit.addRoot);
  audit.finishRoot();
  feed(hashes, audit.addTree);
  audit.finish();
}

function auditAppended(image: Uint8Array, hashOffset: number): void {
  const audit = createTreeAudit({ rootHash, salt, dataBlocks, hashOffset });
  feed(image, audit.addRoot);
  audit.finishRoot();
  audit.finish();
}

const changed = (bytes: Uint8Array, at: number): Uint8Array => {
  const copy = new Uint8Array(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
};

test('the right tree is accepted, apart or appended', () => {
  auditApart(data, tree);
  for (const gap of [0, 3, 70]) {
    const hashOffset = (dataBlocks + gap) * BLOCK;
    auditAppended(Buffer.concat([data, new Uint8Array(gap * BLOCK), tree, new Uint8Array(2 * BLOCK)]), hashOffset);
  }
});

test('a changed block of the data or of any level is found', () => {
  assert.throws(() => auditApart(changed(data, 77_777), tree), { code: 'image-mismatch' });
  for (const at of [0, 9, 100, 600, BLOCK, BLOCK + 100, 2 * BLOCK, size - 1])
    assert.throws(() => auditApart(data, changed(tree, at)), { code: 'tree-invalid' }, `byte ${at}`);
  assert.throws(() => auditApart(data, tree.subarray(0, -BLOCK)), { code: 'tree-invalid' });
  const image = Buffer.concat([data, tree]);
  assert.throws(() => auditAppended(changed(image, 5), data.length), { code: 'image-mismatch' });
  assert.throws(() => auditAppended(changed(image, image.length - 9), data.length), { code: 'tree-invalid' });
});
