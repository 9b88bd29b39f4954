/** The flags of a Raspberry Pi: `autoboot.txt` says which slot is the default, and which one a restart with `tryboot` starts, once. */

import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { type Files, type ReadPart, replaceFile, type WritePart } from '../../system/files.ts';
import { AUTOBOOT_LIMIT, AUTOBOOT_SIZE, type BootPartitions, formatAutoboot, parseAutoboot } from './autoboot-file.ts';
import { notMounted } from './bootloader.ts';
import type { FlagStore } from './flags-backend.ts';

/** `dir` is where the first FAT partition is mounted. */
export type AutobootPlace = Readonly<{
  files: Files;
  readPart: ReadPart;
  writePart: WritePart;
  dir: string;
  partitions: BootPartitions;
}>;

/** The firmware forgets the wish to try as soon as it has read it, so there is one try, and it takes a restart with an argument. */
export const trybootStore = (at: AutobootPlace): FlagStore => ({
  name: 'tryboot',
  mostTries: 1,
  rebootArgument: '0 tryboot',
  load: async () => parseAutoboot((await read(at)).bytes, at.partitions),
  save: async (flags) => {
    const bytes = formatAutoboot(flags, at.partitions);
    const { size } = await read(at);
    // FAT cannot put one file in another's place at one stroke, but a sector is written whole or not at all.
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
