/** What doctor reads of the machine: names, and beginnings of files, since others say how long they are. */

import type { Files, ReadHead } from '../../system/files.ts';

export type Reading = Pick<Files, 'list'> & Readonly<{ readHead: ReadHead }>;

/** The text of a file, as far as anybody would write one by hand. */
export async function readText({ readHead }: Reading, path: string): Promise<string | undefined> {
  const bytes = await readHead(path, MOST_BYTES);
  return bytes && new TextDecoder().decode(bytes);
}

const MOST_BYTES = 64 * 1024;
