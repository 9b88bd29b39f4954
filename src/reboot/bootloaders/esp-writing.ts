/** Changes the entries' folder on the ESP, one durable step at a time. */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import type { Sha256, SlotName, Version } from '../../model.ts';
import { moveFile, readPartOf, removeFile } from '../../system/files.ts';
import type { Log } from '../../system/log.ts';
import { formatEntryName, formatWaitingName } from './entry-name.ts';
import { type Esp, entriesDir, listParts, readEsp, readUki } from './esp-entries.ts';

/** A UKI on its way to the ESP, as its manifest describes it. */
export type IncomingUki = Readonly<{ version: Version; size: number; sha256: Sha256; rootHash: Sha256 }>;

/**
 * Before a slot is touched: whether the ESP will have room for its new UKI once `disable` has removed the old one. `freeBytes` says how
 * much is free now.
 */
export async function checkEspRoom(esp: Esp, target: SlotName, size: number, freeBytes: number): Promise<void> {
  const { entries, waiting, orphans } = await readEsp(esp);
  const removable = [
    ...entries.filter((one) => one.slot === target),
    ...waiting,
    ...orphans,
    ...(await listParts(esp)),
  ];
  const room = freeBytes + removable.reduce((sum, one) => sum + one.size, 0);
  if (room >= size + SLACK) return;
  throw new UpdateError(
    'esp-full',
    `${esp.dir} has room for ${room} bytes, and the new kernel image needs ${size + SLACK}.`,
  );
}

/**
 * Puts a UKI on the ESP under a name that no boot loader takes, durably, and reads it back. The slot must be disabled already; `arm`
 * makes an entry of it.
 */
export async function putUki(
  esp: Esp & Readonly<{ log: Log }>,
  uki: IncomingUki,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  const dir = entriesDir(esp);
  const name = formatWaitingName(esp.product, uki.version);
  await refuseVersion(esp, uki.version);
  await esp.files.makeDir(dir);
  try {
    await esp.files.write(join(dir, name), exactly(chunks, uki));
    await esp.files.syncFile(join(dir, name));
    await esp.files.syncDir(dir);
    await verifyUki(esp, join(dir, name), uki);
  } catch (error) {
    // What stays behind is nobody's; the fault that came first is the one to tell.
    await removeFile(esp.files, join(dir, name)).catch(() => undefined);
    throw isFull(error)
      ? new UpdateError('esp-full', `${dir} had no room for ${uki.size} bytes.`, { cause: error })
      : error;
  }
  esp.log.info({ file: name }, 'kernel image put on the ESP');
}

/** Renames durably; a file that has the name already is left alone. */
export async function moveEntry(esp: Esp & Readonly<{ log: Log }>, from: string, to: string): Promise<void> {
  const dir = entriesDir(esp);
  // An earlier rename may not have been made durable before it was interrupted, so the folder is synced either way.
  if (from === to) return esp.files.syncDir(dir);
  await moveFile(esp.files, join(dir, from), join(dir, to));
  esp.log.info({ from, to }, 'boot entry renamed');
}

/** Removes files of ours durably. Nothing to remove is no reason not to sync: an earlier run may have been stopped before it did. */
export async function removeEntries(
  esp: Esp & Readonly<{ log: Log }>,
  doomed: readonly Readonly<{ file: string }>[],
): Promise<void> {
  const dir = entriesDir(esp);
  for (const { file } of doomed) await esp.files.remove(join(dir, file));
  await esp.files.syncDir(dir);
  if (doomed.length > 0) esp.log.info({ files: doomed.map((one) => one.file) }, 'boot entries removed');
}

// Clusters and directory entries of a FAT file system: 64 KiB is its largest cluster, and two may be needed.
const SLACK = 128 * 1024;

/** The running system's entry must never be overwritten, and two entries of one version cannot be told apart. */
export async function refuseVersion(esp: Esp, version: Version): Promise<void> {
  const id = formatEntryName(esp.product, { version }).toLowerCase();
  const { entries } = await readEsp(esp);
  const clash = entries.find((one) => one.id.toLowerCase() === id);
  if (!clash) return;
  throw new UpdateError(
    'boot-version-clash',
    `Version ${version} is to be put on ${esp.dir}, but slot ${clash.slot} has the entry ${clash.file} already.`,
  );
}

async function* exactly(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { size }: IncomingUki,
): AsyncGenerator<Uint8Array> {
  let seen = 0;
  for await (const chunk of chunks) {
    seen += chunk.length;
    if (seen > size) break;
    yield chunk;
  }
  if (seen !== size) throw new UpdateError('file-mismatch', `${seen} bytes of a kernel image of ${size} bytes came.`);
}

/** What lies at `path` is the promised UKI, and one that the boot loader takes. */
export async function verifyUki(esp: Esp, path: string, uki: IncomingUki): Promise<void> {
  const digest = await digestOf(esp, path);
  if (digest !== uki.sha256)
    throw new UpdateError('file-mismatch', `${path} has the digest ${digest} instead of ${uki.sha256}.`);
  const { content } = await readUki(esp, path);
  if (!content)
    throw new UpdateError('uki-invalid', `The kernel image of ${uki.version} is not one the boot loader takes.`);
  if (content.rootHash === uki.rootHash) return;
  throw new UpdateError(
    'uki-mismatch',
    `The kernel image names the root hash ${content.rootHash}, and the release's root has ${uki.rootHash}.`,
  );
}

async function digestOf(esp: Esp, path: string): Promise<string> {
  const part = esp.readPart ?? readPartOf(esp.files);
  const hash = createHash('sha256');
  for (let offset = 0; ; offset += PIECE) {
    const { bytes } = (await part(path, offset, PIECE)) ?? {};
    if (!bytes?.length) return hash.digest('hex');
    hash.update(bytes);
  }
}

const PIECE = 1024 * 1024;

const isFull = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOSPC';
