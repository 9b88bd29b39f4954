/** Lists the files of an initrd without unpacking it to disk: archives one after the other, each plain or compressed. */

import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { UpdateError } from '../../errors.ts';
import { type CpioEnd, type CpioEntry, type CpioOptions, readCpio } from '../../formats/cpio.ts';
import { kindOfMode } from '../../formats/file-kind.ts';
import { filtered } from '../process/filter.ts';
import { type FileTree, fileTree, type TreeNode } from './file-tree.ts';

/** Bytes at any offset. */
export type InitrdSource = Readonly<{
  size: number;
  open(offset: number, signal: AbortSignal, end?: number): AsyncIterable<Uint8Array>;
}>;

/** The files by path; a later archive replaces those of an earlier one, as in the kernel. `keeps`: whose content is wanted. */
export async function readInitrd(
  source: InitrdSource,
  keeps: CpioOptions['keeps'],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, CpioEntry>> {
  if (source.size > MOST_PACKED) throw new UpdateError('source-unreadable', 'It is too large for an initrd.');
  const files = new Map<string, CpioEntry>();
  const options: CpioOptions = { keeps, found: (entry) => void files.set(entry.path, entry) };
  for (let at = 0; at < source.size; ) {
    const end = await readCpio(source.open(at, signal), options);
    if (!end) break;
    at += end.at;
    at += await readPacked(source, at, end, options, signal);
  }
  return files;
}

/** Firmware loads an initrd into memory as a whole. */
const MOST_PACKED = 2 * 1024 ** 3;

/** The files of an initrd as a tree. Only wanted files have content. */
export function initrdTree(files: ReadonlyMap<string, CpioEntry>): FileTree {
  const folders = new Map<string, Set<string>>([['', new Set()]]);
  for (const path of files.keys()) addTo(folders, path);
  return fileTree<string>({
    root: '',
    child: async (folder, name) => (folders.get(folder)?.has(name) ? under(folder, name) : undefined),
    node: async (path) => nodeOf(files.get(path)),
    names: async (folder) => [...(folders.get(folder) ?? [])],
    target: async (path) => new TextDecoder().decode(files.get(path)?.content),
    read: async (path, offset, length) =>
      (files.get(path)?.content ?? new Uint8Array()).subarray(offset, offset + length),
  });
}

const under = (folder: string, name: string): string => (folder === '' ? name : `${folder}/${name}`);

/** Also the folders above, which an archive need not list. */
function addTo(folders: Map<string, Set<string>>, path: string): void {
  let folder = '';
  for (const name of path.split('/')) {
    const names = folders.get(folder) ?? new Set();
    folders.set(folder, names.add(name));
    folder = under(folder, name);
  }
}

function nodeOf(entry: CpioEntry | undefined): TreeNode {
  const [mode, size] = [entry?.mode ?? FOLDER, entry?.size ?? 0];
  return { kind: kindOfMode(mode) ?? 'file', size, mode, device: 0 };
}

const FOLDER = 0o040755;

/** Returns the length of the compressed part; up to the end of the file if its decompressor does not tell. */
async function readPacked(
  source: InitrdSource,
  at: number,
  { magic }: CpioEnd,
  options: CpioOptions,
  signal: AbortSignal,
): Promise<number> {
  const form = FORMS.find((one) => one.magic.every((byte, index) => magic[index] === byte));
  if (!form)
    throw new UpdateError(
      'source-unreadable',
      `The initrd has neither an archive nor a known compression at byte ${at}.`,
    );
  const plain = unpacked(form, source.open(at, signal), signal);
  const rest = await readCpio(bounded(plain.pieces), options).catch(damaged);
  return rest === undefined ? (plain.taken() ?? source.size) : source.size;
}

type Form = Readonly<{ magic: readonly number[]; tool: readonly [string, ...string[]] | 'gzip' | 'zstd' }>;

const FORMS: readonly Form[] = [
  { magic: [0x28, 0xb5, 0x2f, 0xfd], tool: 'zstd' },
  { magic: [0x1f, 0x8b], tool: 'gzip' },
  { magic: [0xfd, 0x37, 0x7a, 0x58], tool: ['xz', '-dc'] },
  { magic: [0x5d, 0, 0], tool: ['xz', '--format=lzma', '-dc'] },
  { magic: [0x02, 0x21, 0x4c, 0x18], tool: ['lz4', '-dc'] },
  { magic: [0x04, 0x22, 0x4d, 0x18], tool: ['lz4', '-dc'] },
  { magic: [0x42, 0x5a, 0x68], tool: ['bzip2', '-dc'] },
];

type Unpacked = Readonly<{ pieces: AsyncIterable<Uint8Array>; taken(): number | undefined }>;

function unpacked({ tool }: Form, packed: AsyncIterable<Uint8Array>, signal: AbortSignal): Unpacked {
  if (typeof tool !== 'string') return { pieces: filtered(tool, packed, signal), taken: () => undefined };
  const stream = tool === 'gzip' ? createGunzip() : createZstdDecompress();
  // Its errors reach the reader of the stream.
  pipeline(Readable.from(packed), stream, { signal }).catch(() => undefined);
  return { pieces: stream, taken: () => stream.bytesWritten };
}

/** An initrd must fit into memory; one that claims more is not one. */
const MOST_PLAIN = 8 * 1024 ** 3;

async function* bounded(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const piece of pieces) {
    size += piece.length;
    if (size > MOST_PLAIN) throw new UpdateError('source-unreadable', 'The initrd has more than 8 GiB of files.');
    yield piece;
  }
}

function damaged(error: unknown): never {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (!/^(Z_|ERR_ZSTD|ZSTD_)/.test(code)) throw error;
  throw new UpdateError('source-unreadable', 'The initrd is damaged: it cannot be decompressed.', { cause: error });
}
