/** Raspberry Pi: `autoboot.txt` selects the default slot, and the one that a restart with `tryboot` starts once. */

import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { type Files, type ReadPart, replaceFile, type WritePart } from '../../system/files.ts';
import { AUTOBOOT_LIMIT, AUTOBOOT_SIZE, type BootPartitions, formatAutoboot, parseAutoboot } from './autoboot-file.ts';
import { notMounted } from './bootloader.ts';
import type { FlagStore } from './flags-backend.ts';

/** `dir`: the mount point of the first FAT partition. */
export type AutobootPlace = Readonly<{
  files: Files;
  readPart: ReadPart;
  writePart: WritePart;
  dir: string;
  partitions: BootPartitions;
}>;

/** The firmware clears the tryboot flag as soon as it reads it, so there is one try, requested by a restart argument. */
export const trybootStore = (at: AutobootPlace): FlagStore => ({
  name: 'tryboot',
  mostTries: 1,
  rebootArgument: '0 tryboot',
  load: async () => parseAutoboot((await read(at)).bytes, at.partitions),
  save: async (flags) => {
    const bytes = formatAutoboot(flags, at.partitions);
    const { size } = await read(at);
    // FAT cannot replace a file atomically, but a single sector is written completely or not at all.
    if (size !== AUTOBOOT_SIZE) return replaceFile(at.files, pathOf(at), bytes);
    await at.writePart(pathOf(at), 0, bytes);
    await at.files.syncFile(pathOf(at));
  },
});

const pathOf = ({ dir }: AutobootPlace): string => join(dir, 'autoboot.txt');

async function read(at: AutobootPlace): Promise<Readonly<{ bytes: Uint8Array; size: number }>> {
  const found = await at.readPart(pathOf(at), 0, AUTOBOOT_LIMIT + 1);
  if (found) return found;
  const sentence = `${pathOf(at)} does not exist`;
  if ((await at.files.list(at.dir)).length === 0) throw notMounted(sentence, at.dir);
  throw new UpdateError('boot-environment', `${sentence}.`);
}
