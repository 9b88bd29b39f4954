/** Writes a whole kernel image (UKI) to the ESP, under a name that no boot loader uses. */

import { UpdateError } from '../../errors.ts';
import { removeFile } from '../../system/files.ts';
import { type IncomingUki, type UkiFiles, verifyUki } from './uki-file.ts';

/** Writes and reads back the data; the name is not durable yet. Removes everything that is not the expected UKI. */
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
    // A failed clean-up must not hide the first error.
    await removeFile(files, path).catch(() => undefined);
    throw error;
  }
}

/** Throws `esp-full` if a UKI of that size will not fit on the ESP at `dir` once all `removable` files are gone. */
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

// FAT clusters and directory entries: the largest cluster is 64 KiB, and two may be needed.
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
  if (seen !== size)
    throw new UpdateError('file-mismatch', `Received ${seen} bytes of a kernel image of ${size} bytes.`);
}
