/** The plain images out of a bundle, by the standard tools: a bundle is a tar archive of zstd streams. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './programs.ts';

export type Images = Readonly<{ root: string; verity: string; uki: string }>;

export async function unpackImages(bundle: string, dir: string): Promise<Images> {
  await mkdir(dir, { recursive: true });
  const [root, verity, uki] = ['root', 'verity', 'uki'].map((role) => join(dir, role)) as [string, string, string];
  await unpackImage(bundle, 'root', root);
  await unpackImage(bundle, 'verity', verity);
  await unpackImage(bundle, 'uki', uki);
  return { root, verity, uki };
}

/** Writes one of them to `file`. */
export async function unpackImage(bundle: string, role: keyof Images, file: string): Promise<void> {
  await run('sh', ['-c', 'tar -xOf "$1" "$2.zst" | zstd -q -d -f >"$3"', 'sh', bundle, role, file]);
}
