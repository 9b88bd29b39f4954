/** Opens the file tree in a root image, in a bundle, or on a disk image, without unpacking it. */

import { imageBytes } from '../../../bundle/bundle-bytes.ts';
import { byteRange } from '../../../bundle/byte-range.ts';
import { imageTree } from '../../../bundle/image/image-files.ts';
import { imageOf, rootOf } from '../../../bundle/manifest.ts';
import { openBundle } from '../../../bundle/reader.ts';
import { UpdateError } from '../../../errors.ts';
import { SLOT_NAMES } from '../../../model.ts';
import { PRIMARY, parseHeader, parseTable, sectorsOfEntries } from '../../../partitions/gpt.ts';
import { neutralUuid } from '../../../partitions/uuids.ts';
import { type FileSource, linkedSource } from '../../../system/disk/file-source.ts';
import type { FileTree } from '../../../system/disk/file-tree.ts';
import { slotPartitions } from '../../image/inspected-slots.ts';
import { ukiParts } from './uki-parts.ts';
import type { Companions } from './world.ts';

export type OpenedImage = Readonly<{ tree: FileTree; companions: Companions }>;

/** Keeps the file open until it is disposed of. */
export async function openImage(path: string, signal: AbortSignal): Promise<AsyncDisposable & OpenedImage> {
  await using stack = new AsyncDisposableStack();
  const source = stack.use(await linkedSource(path));
  const found = (await inBundle(source, signal)) ?? (await asRoot(source, signal)) ?? (await onDisk(source, signal));
  if (!found)
    throw new UpdateError(
      'file-unsuitable',
      `${path} is no bundle, no disk image with slots, and no image with a file system that is read here (erofs without compression, ext4). Mount it, and pass --tree.`,
    );
  const opened = stack.move();
  return { ...found, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/** The name of the first entry. */
const MANIFEST = 'manifest.json\0';

async function inBundle(source: FileSource, signal: AbortSignal): Promise<OpenedImage | undefined> {
  const head = await byteRange(source, 0, Math.min(source.size, MANIFEST.length), signal);
  if (Buffer.from(head).toString('latin1') !== MANIFEST) return undefined;
  const bundle = await openBundle(source, undefined, signal);
  const { product, version, architecture } = bundle.manifest;
  const tree = await treeIn(await imageBytes(bundle, 'root', signal), rootOf(bundle.manifest).size);
  const uki = imageOf(bundle.manifest, 'uki');
  const parts = uki ? await ukiParts('the kernel image', await imageBytes(bundle, 'uki', signal), uki.size) : {};
  return tree && { tree, companions: { product, version, architecture, ...parts } };
}

async function asRoot(source: FileSource, signal: AbortSignal): Promise<OpenedImage | undefined> {
  const tree = await treeIn((offset, length) => byteRange(source, offset, length, signal), source.size);
  return tree && { tree, companions: {} };
}

/** The slot that is filled. */
async function onDisk(source: FileSource, signal: AbortSignal): Promise<OpenedImage | undefined> {
  for (const sectorSize of [512, 4096]) {
    const sectors = Math.floor(source.size / sectorSize);
    if (sectors < 3) return undefined;
    const read = (sector: number, count: number): Promise<Uint8Array> =>
      byteRange(source, sector * sectorSize, count * sectorSize, signal);
    const header = parseHeader(await read(PRIMARY, 1), PRIMARY, sectors);
    const table =
      header && parseTable(header, await read(header.entriesAt, sectorsOfEntries(header, sectorSize)), sectorSize);
    if (!table) continue;
    const slots = slotPartitions(table.entries);
    for (const name of SLOT_NAMES) {
      const root = slots[name]?.root;
      if (!root || root.uuid === neutralUuid(table.diskGuid, root.label) || root.offset + root.size > source.size)
        continue;
      const tree = await treeIn((offset, length) => byteRange(source, root.offset + offset, length, signal), root.size);
      if (tree) return { tree, companions: {} };
    }
  }
  return undefined;
}

/** A read past the end of an image is one past the end of its source. */
const treeIn = (
  read: (offset: number, length: number) => Promise<Uint8Array>,
  size: number,
): Promise<FileTree | undefined> => imageTree((offset, length) => read(offset, Math.min(length, size - offset)), size);
