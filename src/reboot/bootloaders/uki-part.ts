/** A UKI that is put together on the ESP, block by block in any order, under a name that no boot loader takes. */

import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import type { SlotName, Version } from '../../model.ts';
import { moveFile, readPartOf, removeFile, writePartOf } from '../../system/files.ts';
import type { Log } from '../../system/log.ts';
import { formatPartName, formatWaitingName } from './entry-name.ts';
import { type Esp, entriesDir, listParts, readEsp } from './esp-entries.ts';
import { type IncomingUki, refuseVersion, removeEntries, verifyUki } from './esp-writing.ts';

/** Reads a file by parts; what it gives ends where the file does. */
export type FileReader = Readonly<{ size: number; read(offset: number, length: number): Promise<Uint8Array> }>;

export type UkiPart = FileReader &
  Readonly<{
    write(offset: number, bytes: Uint8Array): Promise<void>;
    /** Makes durable what was written. */
    flush(): Promise<void>;
  }>;

type LoggedEsp = Esp & Readonly<{ log: Log }>;

/** What an earlier attempt has put together of that version, or nothing yet. Other parts, and one that is too long, are removed. */
export async function openUkiPart(esp: LoggedEsp, version: Version, size: number): Promise<UkiPart> {
  const name = formatPartName(esp.product, version);
  const parts = await listParts(esp);
  const isUsable = (part: (typeof parts)[number]): boolean => part.file === name && part.size <= size;
  const others = parts.filter((part) => !isUsable(part));
  if (others.length > 0) await removeEntries(esp, others);
  const dir = entriesDir(esp);
  const path = join(dir, name);
  const writePart = esp.writePart ?? writePartOf(esp.files);
  let isDirty = false;
  await esp.files.makeDir(dir);
  return {
    ...readerOf(esp, path, parts.find(isUsable)?.size ?? 0),
    write: async (offset, bytes) => {
      isDirty = true;
      await writePart(path, offset, bytes).catch((cause: unknown) => {
        const isFull = cause instanceof Error && 'code' in cause && cause.code === 'ENOSPC';
        throw isFull ? new UpdateError('esp-full', `${dir} had no room for ${path}.`, { cause }) : cause;
      });
    },
    flush: async () => {
      if (!isDirty) return;
      await esp.files.syncFile(path);
      await esp.files.syncDir(dir);
      isDirty = false;
    },
  };
}

/** Makes the part the UKI that waits to be armed, if it is the promised one; says whether it was. */
export async function adoptUkiPart(esp: LoggedEsp, uki: IncomingUki): Promise<boolean> {
  const dir = entriesDir(esp);
  const name = formatPartName(esp.product, uki.version);
  const part = (await listParts(esp)).find(({ file }) => file === name);
  if (part?.size !== uki.size) return false;
  await refuseVersion(esp, uki.version);
  await esp.files.syncFile(join(dir, name));
  const isRight = await verifyUki(esp, join(dir, name), uki).then(
    () => true,
    (error: unknown) => {
      if (error instanceof UpdateError && error.code === 'file-mismatch') return false;
      throw error;
    },
  );
  if (isRight) await moveFile(esp.files, join(dir, name), join(dir, formatWaitingName(esp.product, uki.version)));
  return isRight;
}

/** Removes what was put together and is of no use any more. */
export async function removeUkiParts(esp: Esp): Promise<void> {
  for (const { file } of await listParts(esp)) await removeFile(esp.files, join(entriesDir(esp), file));
}

/** The UKI that the slot starts from. */
export async function openUki(esp: Esp, slot: SlotName): Promise<FileReader | undefined> {
  const own = (await readEsp(esp)).entries.filter((one) => one.slot === slot);
  const entry = own.find((one) => one.counter === undefined) ?? own[0];
  return entry && readerOf(esp, join(entriesDir(esp), entry.file), entry.size);
}

function readerOf(esp: Esp, path: string, size: number): FileReader {
  const part = esp.readPart ?? readPartOf(esp.files);
  return { size, read: async (offset, length) => (await part(path, offset, length))?.bytes ?? new Uint8Array(0) };
}
