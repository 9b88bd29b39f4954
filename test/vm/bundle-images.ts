/** The plain images out of a bundle, by the standard tools. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './programs.ts';

export type Images = Readonly<{ root: string; verity: string; uki: string }>;

/** A bundle is a tar archive of zstd streams. */
export async function unpackImages(bundle: string, dir: string): Promise<Images> {
  await mkdir(dir, { recursive: true });
  const unpack = async (role: string): Promise<string> => {
    const file = join(dir, role);
    await run('sh', ['-c', 'tar -xOf "$1" "$2.zst" | zstd -q -d -f >"$3"', 'sh', bundle, role, file]);
    return file;
  };
  return { root: await unpack('root'), verity: await unpack('verity'), uki: await unpack('uki') };
}
