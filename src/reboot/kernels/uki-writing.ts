/** Writes a whole kernel image (UKI) to the ESP, under a name that no boot loader takes. */

import { UpdateError } from '../../errors.ts';
import { removeFile } from '../../system/files.ts';
import { type IncomingUki, type UkiFiles, verifyUki } from './uki-file.ts';

/** With its bytes on the medium, its name not yet; and reads it back. Nothing is left of what did not become the promised UKI. */
export async function writeUki(
  esp: UkiFiles,
  path: string,
  uki: IncomingUki,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  const { files } = esp;
  try {
    await files.write(path, exactly(chunks, uki));
    await files.syncFile(path);
    await verifyUki(esp, path, uki);
  } catch (error) {
    // What stays behind is nobody's; the fault that came first is the one to tell.
    await removeFile(files, path).catch(() => undefined);
    throw error;
  }
}

/** Refuses when a UKI of that size will not fit on the ESP at `dir` once all that is `removable` is gone. */
export function refuseFull(
  dir: string,
  size: number,
  freeBytes: number,
  removable: readonly Readonly<{ size: number }>[],
): void {
  const room = freeBytes + removable.reduce((sum, one) => sum + one.size, 0);
  if (room >= size + SLACK) return;
  throw new UpdateError(
    'esp-full',
    `${dir} has room for ${room} bytes, and the new kernel image needs ${size + SLACK}.`,
  );
}

// Clusters and directory entries of a FAT file system: 64 KiB is its largest cluster, and two may be needed.
const SLACK = 128 * 1024;

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
