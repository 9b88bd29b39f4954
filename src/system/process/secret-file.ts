/** Files with secrets: created once, readable only by their owner, never overwritten. */

import { open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { naming } from '../files.ts';

/** Creates the file durably; false if there is one already, which is left alone. */
export async function createSecretFile(path: string, content: string, mode = 0o600): Promise<boolean> {
  const file = await open(path, 'wx', mode).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return undefined;
    throw error;
  });
  if (file === undefined) return false;
  await using _ = file;
  await file.writeFile(content).catch(naming(path));
  await file.sync().catch(naming(path));
  await using folder = await open(dirname(path), 'r');
  await folder.sync();
  return true;
}

/** Whether users other than the owner may read it. */
export const isReadableByOthers = async (path: string): Promise<boolean> => ((await stat(path)).mode & 0o077) !== 0;
