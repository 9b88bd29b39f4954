/** Compares the verity tree in a bundle with the tree computed from its root image. */

import { hash } from 'node:crypto';
import { UpdateError } from '../../errors.ts';
import type { Verity } from '../manifest.ts';
import { BLOCK, createTreeBuilder, superblock, treeLayout } from '../verity.ts';

export interface TreeAudit {
  /** Plain bytes of the root image, in order. */
  addRoot(offset: number, bytes: Uint8Array): void;
  /** Call after the last of them. */
  finishRoot(): void;
  /** Plain bytes of the verity image, in order. */
  addTree(offset: number, bytes: Uint8Array): void;
  finish(): void;
}

/** Keeps 32 bytes per tree block instead of the tree. */
export function createTreeAudit(verity: Verity): TreeAudit {
  const promised = new Map<number, string>();
  const builder = createTreeBuilder(verity.salt, verity.dataBlocks, (offset, block) =>
    promised.set(offset, digest(block)),
  );
  const dataSize = verity.dataBlocks * BLOCK;
  const { size } = treeLayout(verity.dataBlocks);
  let seen = 0;

  const addTree = (offset: number, bytes: Uint8Array): void => {
    for (let at = 0; at < bytes.length && offset + at < size; at += BLOCK) {
      checkBlock(offset + at, bytes.subarray(at, at + BLOCK));
      seen += BLOCK;
    }
  };

  const checkBlock = (offset: number, block: Uint8Array): void => {
    const fits = offset === 0 ? isSuperblock(block, verity) : digest(block) === promised.get(offset);
    if (!fits)
      throw new UpdateError(
        'tree-invalid',
        `Block ${offset / BLOCK} of the verity tree is not what the root image demands.`,
      );
  };

  const finishRoot = (): void => {
    const found = builder.finish();
    if (found !== verity.rootHash)
      throw new UpdateError('image-mismatch', `The root image has root hash ${found}, not ${verity.rootHash}.`);
  };

  // A tree inside the root image follows the data, when everything about it is known.
  const appended = appendedTree(verity, finishRoot, addTree);
  return {
    addRoot: (offset, bytes) => {
      const data = bytes.subarray(0, Math.max(0, dataSize - offset));
      if (data.length > 0) builder.addBlocks(data);
      appended.add(offset, bytes);
    },
    finishRoot: appended.finishRoot,
    addTree,
    finish: () => {
      if (seen !== size) throw new UpdateError('tree-invalid', `The verity tree has ${seen} bytes, not ${size}.`);
    },
  };
}

const digest = (block: Uint8Array): string => hash('sha256', block, 'binary');

function isSuperblock(block: Uint8Array, verity: Verity): boolean {
  return Buffer.compare(block, superblock(verity.salt, block.subarray(16, 32), verity.dataBlocks)) === 0;
}

function appendedTree(verity: Verity, finishRoot: () => void, addTree: TreeAudit['addTree']) {
  const start = verity.hashOffset;
  let finished = false;
  const finishOnce = (): void => {
    if (!finished) finishRoot();
    finished = true;
  };
  const add = (offset: number, bytes: Uint8Array): void => {
    if (start === undefined || offset + bytes.length <= start) return;
    finishOnce();
    const skipped = Math.max(0, start - offset);
    addTree(offset + skipped - start, bytes.subarray(skipped));
  };
  return { add, finishRoot: finishOnce };
}
