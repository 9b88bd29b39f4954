/** Kernels of a Raspberry Pi: each slot's boot partition contains the UKI and the files extracted from it for the firmware. */

import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { onlySection, type PeSection, peSections, sectionText } from '../../formats/pe.ts';
import { type Product, SLOT_NAMES, type SlotName } from '../../model.ts';
import { moveFile, removeFile, removeTemporaries, TEMPORARY } from '../../system/files.ts';
import type { Log } from '../../system/log.ts';
import { notMounted } from '../bootloaders/bootloader.ts';
import type { SlotVersion } from '../bootloaders/flags-backend.ts';
import { formatPartName } from './entry-name.ts';
import type { Kernels } from './kernels.ts';
import { refuseTwins } from './twin-names.ts';
import {
  digestOf,
  type FileReader,
  fileReader,
  type IncomingUki,
  pieces,
  promisedContent,
  readUki,
  sizeOf,
  type UkiFiles,
  versionIn,
} from './uki-file.ts';
import { adoptUkiPart, listParts, openUkiPart, removeUkiParts, type UkiFolder } from './uki-part.ts';
import { refuseFull, writeUki } from './uki-writing.ts';

/** `dirs`: the mount point of each slot's boot partition, on which the firmware's own files and a config.txt already exist. */
export type TrybootDirs = UkiFiles & Readonly<{ dirs: Readonly<Record<SlotName, string>>; product: Product; log: Log }>;

/** A slot's UKI: gets this name when all extracted files are durable, and loses it first. */
export const UKI_NAME = 'tandem.efi';

/** `writableSpace` returns the writable bytes of a folder. */
export function trybootKernels(
  at: TrybootDirs,
  writableSpace: (dir: string) => Promise<number>,
): Kernels & Readonly<{ versionOf: SlotVersion }> {
  const content = async (slot: SlotName) => (await readUki(at, ukiOf(at, slot)))?.content;
  return {
    checkRoom: async (target, size) => {
      for (const slot of SLOT_NAMES) await refuseUnprepared(at, slot);
      const dir = at.dirs[target];
      // The UKI, and the extracted files, which cannot be larger.
      refuseFull(dir, 2 * size, await writableSpace(dir), await removable(at, target));
    },
    checkFit: async (target, uki, content) => {
      await promisedContent(content, uki);
      await partsOf(content);
      await refuseShared(at, target);
    },
    put: (target, uki, chunks) => put(at, target, uki, chunks),
    open: async (slot) => {
      const size = await sizeOf(at, ukiOf(at, slot));
      return size === 0 ? undefined : fileReader(at, ukiOf(at, slot), size);
    },
    openPart: async (target, version, size) => {
      await clear(at, target);
      return openUkiPart(folderOf(at, target), version, size);
    },
    adoptPart: async (target, uki) => {
      await refuseShared(at, target);
      const part = join(at.dirs[target], formatPartName(at.product, uki.version));
      return adoptUkiPart(folderOf(at, target), uki, UKI_NAME, () => unpack(at, target, part, uki.size));
    },
    removeParts: async () => {
      for (const slot of SLOT_NAMES) await removeUkiParts(folderOf(at, slot));
    },
    rootHash: async (slot) => (await content(slot))?.rootHash,
    versionOf: async (slot) => {
      if (!(await isPrepared(at, 'a')) && !(await isPrepared(at, 'b'))) await refuseUnprepared(at, slot);
      return versionIn(await content(slot));
    },
  };
}

const CONFIG = 'config.txt';
const FILES = [
  ['.linux', 'kernel8.img'],
  ['.initrd', 'initramfs'],
] as const;
const COMMAND_LINE = 'cmdline.txt';
const HEAD = 64 * 1024;

const ukiOf = ({ dirs }: TrybootDirs, slot: SlotName): string => join(dirs[slot], UKI_NAME);
const folderOf = (at: TrybootDirs, slot: SlotName): UkiFolder => ({ ...at, folder: at.dirs[slot] });

/** Without the mount, the kernel would be written where the firmware never sees it. */
async function refuseUnprepared(at: TrybootDirs, slot: SlotName): Promise<void> {
  const dir = at.dirs[slot];
  if (!(await isPrepared(at, slot))) throw notMounted(`The boot partition of slot ${slot} has no ${CONFIG}`, dir);
}

const isPrepared = async ({ files, dirs }: TrybootDirs, slot: SlotName): Promise<boolean> =>
  (await files.list(dirs[slot])).includes(CONFIG);

async function put(
  at: TrybootDirs,
  target: SlotName,
  uki: IncomingUki,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  const temporary = `${ukiOf(at, target)}${TEMPORARY}`;
  await refuseUnprepared(at, target);
  await clear(at, target);
  await writeUki(at, temporary, uki, chunks);
  await unpack(at, target, temporary, uki.size);
  await moveFile(at.files, temporary, ukiOf(at, target));
  at.log.info({ slot: target, version: uki.version }, 'kernel put on the boot partition');
}

/** The UKI first: without it the slot cannot be armed, whatever files remain. */
async function clear(at: TrybootDirs, target: SlotName): Promise<void> {
  const { files, dirs } = at;
  const dir = dirs[target];
  await refuseShared(at, target);
  await removeFile(files, join(dir, UKI_NAME));
  await removeTemporaries(files, dir);
  for (const name of [...FILES.map(([, file]) => file), COMMAND_LINE]) await removeFile(files, join(dir, name));
}

/** The names that a UKI has in turn. */
async function refuseShared(at: TrybootDirs, target: SlotName): Promise<void> {
  const parts = (await listParts(folderOf(at, target))).map(({ file }) => file);
  await refuseTwins(at, at.dirs[target], [UKI_NAME, `${UKI_NAME}${TEMPORARY}`, ...parts]);
}

/** Extracts the three files of a verified UKI, durably, and reads them back. */
async function unpack(at: TrybootDirs, target: SlotName, path: string, size: number): Promise<void> {
  const dir = at.dirs[target];
  const uki = fileReader(at, path, size);
  const { parts, commandLine } = await partsOf(uki);
  await removeFile(at.files, join(dir, UKI_NAME));
  for (const { file, section } of parts) await writeFile(at, join(dir, file), () => pieces(uki, section));
  await writeFile(at, join(dir, COMMAND_LINE), () => once(commandLine));
  await at.files.syncDir(dir);
}

/** The parts of a UKI that the firmware needs; refuses one that it could not start. */
async function partsOf(uki: FileReader) {
  const sections = peSections(await uki.read(0, HEAD), uki.size);
  const parts = FILES.map(([name, file]) => ({ file, section: needed(sections, name) }));
  await refuseKernel(uki, needed(sections, '.linux'));
  return { parts, commandLine: await commandLineOf(uki, needed(sections, '.cmdline')) };
}

/** Writes `content`, and compares the file with a second reading of it. */
async function writeFile(at: TrybootDirs, path: string, content: () => AsyncIterable<Uint8Array>): Promise<void> {
  await at.files.write(path, content());
  await at.files.syncFile(path);
  const size = await sizeOf(at, path);
  const written = await digestOf(pieces(fileReader(at, path, size), { offset: 0, size }));
  if (written !== (await digestOf(content())))
    throw new UpdateError('file-mismatch', `${path} reads back differently from what was written.`);
}

function needed(sections: readonly PeSection[], name: string): PeSection {
  const section = onlySection(sections, name);
  if (section && section.size > 0) return section;
  throw new UpdateError('uki-invalid', `The kernel image has no section ${name}, which a Raspberry Pi needs.`);
}

/** The firmware starts arm64 images, plain or gzipped, but neither PE files nor kernels that unpack themselves through EFI. */
async function refuseKernel(uki: FileReader, { offset, size }: PeSection): Promise<void> {
  const head = Buffer.from(await uki.read(offset, Math.min(size, 64)));
  const isImage = head.length === 64 && head.toString('latin1', 56, 60) === 'ARM\x64';
  const isGzip = head.length > 2 && head.readUInt16BE(0) === 0x1f8b;
  if (isImage || isGzip) return;
  throw new UpdateError(
    'uki-invalid',
    'The kernel is not an arm64 image that the firmware of a Raspberry Pi can start.',
  );
}

/** The firmware uses only the first line. */
async function commandLineOf(uki: FileReader, { offset, size }: PeSection): Promise<Uint8Array> {
  const text = sectionText(await uki.read(offset, Math.min(size, HEAD + 1)), '.cmdline');
  if (!text.includes('\n')) return Buffer.from(`${text}\n`);
  throw new UpdateError('uki-invalid', 'The command line has several lines; a Raspberry Pi would use only the first.');
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** The files to be removed before the slot's new kernel is written. */
async function removable(at: TrybootDirs, target: SlotName): Promise<readonly Readonly<{ size: number }>[]> {
  const folder = folderOf(at, target);
  const own = [UKI_NAME, `${UKI_NAME}${TEMPORARY}`, ...FILES.map(([, file]) => file), COMMAND_LINE];
  const sizes = await Promise.all(own.map(async (file) => ({ size: await sizeOf(at, join(folder.folder, file)) })));
  return [...sizes, ...(await listParts(folder))];
}
