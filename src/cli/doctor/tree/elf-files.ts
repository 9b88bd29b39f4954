/** Reads ELF files in a file tree. */

import { type ElfFile, type ReadAt, readElf } from '../../../formats/elf.ts';
import type { FileTree } from '../../../system/disk/file-tree.ts';

/** The ELF file at a path; `damaged`; undefined if there is none, or something else. */
export async function elfAt(tree: FileTree, path: string): Promise<ElfFile | 'damaged' | undefined> {
  if ((await tree.find(path))?.kind !== 'file') return undefined;
  try {
    return await readElf(inPages(tree, path));
  } catch (error) {
    if (error instanceof TypeError) return 'damaged';
    throw error;
  }
}

const PAGE = 64 * 1024;

/** An ELF file is read in many small pieces that lie close together. */
function inPages(tree: FileTree, path: string): ReadAt {
  const pages = new Map<number, Promise<Uint8Array>>();
  const page = (index: number): Promise<Uint8Array> => {
    const found =
      pages.get(index) ?? tree.readPart(path, index * PAGE, PAGE).then((part) => part?.bytes ?? new Uint8Array());
    pages.set(index, found);
    return found;
  };
  return async (offset, length) => {
    const pieces: Uint8Array[] = [];
    for (let at = offset; at < offset + length; ) {
      const [index, from] = [Math.floor(at / PAGE), at % PAGE];
      const piece = (await page(index)).subarray(from, from + offset + length - at);
      if (piece.length === 0) break;
      pieces.push(piece);
      at += piece.length;
    }
    return pieces.length === 1 ? (pieces[0] ?? new Uint8Array()) : Buffer.concat(pieces);
  };
}
