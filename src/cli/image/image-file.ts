/** The last steps to a disk image under its name: in its format, durable, and whole or not there at all. */

import { asUpdateError, UpdateError } from '../../errors.ts';
import type { Scratch } from '../../system/disk/scratch.ts';
import { freeSpace, moveFile } from '../../system/files.ts';
import { type Exec, run } from '../../system/process/exec.ts';
import type { Context } from '../command.ts';

export type ImageFormat = 'raw' | 'qcow2';

export type NewImage = Readonly<{
  exec: Exec;
  scratch: Scratch;
  /** The raw image, by its name in `scratch`. */
  disk: string;
  format: ImageFormat;
  output: string;
}>;

export async function publishImage({ files, signal }: Context, image: NewImage): Promise<void> {
  const { exec, scratch, disk, format, output } = image;
  const name = format === 'raw' ? disk : `${disk}.${format}`;
  if (format !== 'raw') await run(exec, 'qemu-img', [...CONVERT, format, disk, name], { signal });
  await files.syncFile(scratch.path(name));
  await moveFile(files, scratch.path(name), output);
}

/** One request at a time: several would place the clusters in an order of their own. */
const CONVERT = ['convert', '-q', '-m', '1', '-f', 'raw', '-O'];

/** The error by its right name if the file system of `folder` is full: not every program says so. */
export async function orFull(error: unknown, folder: string): Promise<unknown> {
  const { code, cause } = asUpdateError(error);
  if (code === 'file-system-full') return error;
  const isFull =
    FULL.has((cause as NodeJS.ErrnoException | undefined)?.code ?? '') ||
    (code === 'tool-failed' && (await freeSpace(folder)) < NOTHING);
  if (!isFull) return error;
  return new UpdateError('file-system-full', `${folder} has no space left for the image.`, { cause: error });
}

const FULL = new Set(['ENOSPC', 'EDQUOT']);
/** Less than any program needs for its next step. */
const NOTHING = 64 * 1024;
