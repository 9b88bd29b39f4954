/** Files named on the command line. */

import { resolve } from 'node:path';
import { UpdateError } from '../errors.ts';
import { readStream } from '../system/files.ts';
import type { Context } from './command.ts';

/** The bytes of a file, relative to the working folder. */
export async function readGiven(context: Context, file: string): Promise<Uint8Array> {
  const path = resolve(context.cwd(), file);
  const bytes = await readStream(path);
  if (!bytes) throw new UpdateError('usage', `${path} does not exist.`);
  return bytes;
}
