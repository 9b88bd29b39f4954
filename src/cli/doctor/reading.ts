/** What doctor reads from the machine: file names, and the start of files, since their length is not ours to trust. */

import type { Files, ReadHead } from '../../system/files.ts';

export type Reading = Pick<Files, 'list'> & Readonly<{ readHead: ReadHead }>;

/** The text of a file, up to the size of any that is written by hand. */
export async function readText({ readHead }: Reading, path: string): Promise<string | undefined> {
  const bytes = await readHead(path, MOST_BYTES);
  return bytes && new TextDecoder().decode(bytes);
}

const MOST_BYTES = 64 * 1024;
