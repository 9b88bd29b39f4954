/** The disk of a box: a sparse file behind a loop device, with an ESP, both slots and /var. */

import { open, truncate, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../vm/programs.ts';

export type BoxDisk = AsyncDisposable &
  Readonly<{
    /** `/dev/loopN`. */
    path: string;
    /** N, which nobody else has meanwhile. */
    number: number;
    part(number: number): string;
    /** Gives a partition another label, as a tool does that the running system knows nothing of. */
    label(number: number, label: string): Promise<void>;
  }>;

export type DiskOptions = Readonly<{
  sectorSize: 512 | 4096;
  espMib: number;
  rootMib: number;
  verityMib: number;
  varMib: number;
  /** Labels of further partitions of 1 MiB. */
  extra: readonly string[];
}>;

/** The numbers of the partitions. */
export const PARTS = { esp: 1, a: 2, b: 4, var: 6 } as const;
const QUIETLY = ['--quiet', '--no-reread', '--no-tell-kernel'];
const ATTEMPTS = 20;
const MIB = 1024 * 1024;

/** Partitions the file and gives it to the kernel. The loop device is let go of when it is closed, even if by our death. */
export async function createDisk(file: string, options: DiskOptions, slotA: readonly string[]): Promise<BoxDisk> {
  const { sectorSize, espMib, rootMib, verityMib, varMib, extra } = options;
  await writeFile(file, '');
  await truncate(file, (espMib + 2 * (rootMib + verityMib) + varMib + extra.length + 4) * MIB);
  const path = await run('losetup', ['--find', '--show', '--partscan', '--sector-size', String(sectorSize), file]);
  const held = await open(path, 'r');
  try {
    await run('losetup', ['--detach', path]);
    await partition(path, tableOf(options, slotA));
    await run('mkfs.ext2', ['-q', '-F', '-m0', `${path}p${PARTS.esp}`]);
    await run('mkfs.ext4', ['-q', '-F', '-m0', `${path}p${PARTS.var}`]);
  } catch (error) {
    await held.close();
    throw error;
  }
  return {
    path,
    number: Number(path.replace('/dev/loop', '')),
    part: (number) => `${path}p${number}`,
    label: async (number, label) => {
      await run('sfdisk', [...QUIETLY, '--force', '--part-label', path, String(number), label]);
    },
    [Symbol.asyncDispose]: () => held.close(),
  };
}

function tableOf(
  { espMib, rootMib, verityMib, varMib, extra }: DiskOptions,
  [root, verity]: readonly string[],
): string {
  const parts: [label: string, mib: number, more?: string][] = [
    ['esp', espMib],
    ['root-a', rootMib, `uuid=${root}`],
    ['root-a-verity', verityMib, `uuid=${verity}`],
    ['root-b', rootMib],
    ['root-b-verity', verityMib],
    ['var', varMib],
    ...extra.map((label): [string, number] => [label, 1]),
  ];
  const lines = parts.map(([label, mib, more]) =>
    [`size=${mib}MiB`, `name="${label}"`, more].filter(Boolean).join(', '),
  );
  return ['label: gpt', ...lines, ''].join('\n');
}

/** Not every kernel reads such a table, so it is told; while somebody looks at a new device it is busy. */
async function partition(path: string, table: string): Promise<void> {
  await run('sh', ['-c', `printf %s "$2" | sfdisk ${QUIETLY.join(' ')} "$1"`, 'sh', path, table]);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return void (await run('partx', ['--update', path]));
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await sleep(50);
    }
  }
}
