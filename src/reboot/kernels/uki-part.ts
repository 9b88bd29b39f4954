/** A UKI assembled on the ESP, block by block in any order, under a name that no boot loader uses. */

import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import type { Product, Version } from '../../model.ts';
import { moveFile, removeFile, writePartOf } from '../../system/files.ts';
import { formatPartName, isPart } from './entry-name.ts';
import { type FileReader, fileReader, type IncomingUki, sizeOf, type UkiFiles, verifyUki } from './uki-file.ts';

export type UkiPart = FileReader &
  Readonly<{
    write(offset: number, bytes: Uint8Array): Promise<void>;
    /** Makes the writes durable. */
    flush(): Promise<void>;
  }>;

/** The folder in which kernel images are assembled and completed. */
export type UkiFolder = UkiFiles & Readonly<{ folder: string; product: Product }>;

/** The partial UKI of an earlier attempt at that version, or an empty one. Removes other parts, and a part that is too long. */
export async function openUkiPart(at: UkiFolder, version: Version, size: number): Promise<UkiPart> {
  const name = formatPartName(at.product, version);
  const path = join(at.folder, name);
  const parts = await listParts(at);
  const isUsable = (part: Part): boolean => part.file === name && part.size <= size;
  await removeParts(
    at,
    parts.filter((part) => !isUsable(part)),
  );
  await at.files.makeDir(at.folder);
  return { ...fileReader(at, path, parts.find(isUsable)?.size ?? 0), ...partWriter(at, path) };
}

/** Renames the part to `name` if it is the expected UKI; returns whether it was. `clear` runs before the rename. */
export async function adoptUkiPart(
  at: UkiFolder,
  uki: IncomingUki,
  name: string,
  clear: () => Promise<void> = async () => undefined,
): Promise<boolean> {
  const part = (await listParts(at)).find(({ file }) => file === formatPartName(at.product, uki.version));
  if (part?.size !== uki.size) return false;
  const path = join(at.folder, part.file);
  await at.files.syncFile(path);
  if (!(await isRight(at, path, uki))) return false;
  await clear();
  await moveFile(at.files, path, join(at.folder, name));
  return true;
}

/** UKIs that are or were under assembly. */
export async function listParts(at: UkiFolder): Promise<readonly Part[]> {
  const files = (await at.files.list(at.folder)).filter((file) => isPart(at.product, file));
  return Promise.all(files.map(async (file) => ({ file, size: await sizeOf(at, join(at.folder, file)) })));
}

/** Removes assembled parts that are no longer useful. */
export async function removeUkiParts(at: UkiFolder): Promise<void> {
  await removeParts(at, await listParts(at));
}

type Part = Readonly<{ file: string; size: number }>;

async function removeParts({ files, folder }: UkiFolder, doomed: readonly Part[]): Promise<void> {
  for (const { file } of doomed) await removeFile(files, join(folder, file));
}

function partWriter(at: UkiFolder, path: string): Pick<UkiPart, 'write' | 'flush'> {
  const writePart = at.writePart ?? writePartOf(at.files);
  let isDirty = false;
  return {
    write: async (offset, bytes) => {
      isDirty = true;
      await writePart(path, offset, bytes);
    },
    flush: async () => {
      if (!isDirty) return;
      await at.files.syncFile(path);
      await at.files.syncDir(at.folder);
      isDirty = false;
    },
  };
}

async function isRight(at: UkiFolder, path: string, uki: IncomingUki): Promise<boolean> {
  try {
    await verifyUki(at, path, uki);
    return true;
  } catch (error) {
    if (error instanceof UpdateError && error.code === 'file-mismatch') return false;
    throw error;
  }
}
