/** The EFI system partition of a new disk: FAT32, made and filled without mounting it. */

import { dirname } from 'node:path';
import type { Scratch } from '../../system/disk/scratch.ts';
import { type Exec, run } from '../../system/process/exec.ts';
import type { EspFile } from './loader-layouts.ts';

export type EspOptions = Readonly<{
  /** Runs in the folder of `scratch`: some signs in a path would mislead mtools. */
  exec: Exec;
  scratch: Scratch;
  signal: AbortSignal;
  size: number;
  sectorSize: number;
  /** Eight hex digits. */
  volumeId: string;
}>;

/** Returns the path of the image. */
export async function makeEsp(files: readonly EspFile[], options: EspOptions): Promise<string> {
  const { exec, scratch, signal, size, sectorSize, volumeId } = options;
  const form = ['-F', '32', '-S', String(sectorSize), '--invariant', '-i', volumeId, '-n', 'ESP'];
  await run(exec, 'mkfs.vfat', [...form, '-C', IMAGE, String(size / 1024)], { signal });
  await run(exec, 'mmd', ['-i', IMAGE, ...foldersOf(files).map(onImage)], { signal });
  for (const [index, file] of files.entries()) {
    const source = 'file' in file ? file.file : `esp-${index}`;
    if ('bytes' in file) await scratch.writeText(`esp-${index}`, [file.bytes]);
    await run(exec, 'mcopy', ['-i', IMAGE, source, onImage(file.path)], { signal });
  }
  return scratch.path(IMAGE);
}

const IMAGE = 'esp';

/** Parents first. */
function foldersOf(files: readonly EspFile[]): string[] {
  const folders = files.flatMap(({ path }) => {
    const names = dirname(path).split('/');
    return names.map((_, index) => names.slice(0, index + 1).join('/'));
  });
  return [...new Set(folders)].sort();
}

const onImage = (path: string): string => `::${path}`;
