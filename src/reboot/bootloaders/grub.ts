/** GRUB: the flags lie in its environment and in a copy of it, one of which is whole at any moment. */

import { dirname } from 'node:path';
import { UpdateError } from '../../errors.ts';
import type { Files, ReadPart, WritePart } from '../../system/files.ts';
import { notMounted } from './bootloader.ts';
import type { FlagStore } from './flags-backend.ts';
import { BLOCK_SIZE, readVariables, writeVariables } from './grub-environment.ts';
import { MOST_TRIES, readFlags, unknownFlags, writeFlags } from './grub-flags.ts';
import type { SlotFlags } from './slot-flags.ts';

/** `path` is the environment's; grub.cfg looks for the copy beside it. */
export type GrubWorld = Readonly<{
  files: Pick<Files, 'list' | 'write' | 'makeDir' | 'syncFile' | 'syncDir'>;
  readPart: ReadPart;
  writePart: WritePart;
  path: string;
}>;

/** Power may fail at every byte that `save` writes: what GRUB reads then are the old flags or the new ones. */
export function grubStore(world: GrubWorld): FlagStore {
  const load = () => loadBoth(world);
  return {
    name: 'GRUB',
    mostTries: MOST_TRIES,
    load: async () => {
      const files = await load();
      if (files.every(({ block }) => block === undefined)) throw await missing(world);
      return files.find(({ flags }) => flags)?.flags ?? unknownFlags();
    },
    save: async (flags) => {
      const files = await load();
      const whole = files.find((one) => one.flags);
      const block = writeVariables((whole ?? files[0])?.block, writeFlags(flags));
      // The one that GRUB reads now comes last, so that either the old flags or the new are whole.
      for (const file of files.toSorted((one, other) => Number(one === whole) - Number(other === whole)))
        await replace(world, file, block);
    },
  };
}

/** What GRUB takes for the copy when the environment has this path. */
export const copyOf = (path: string): string => `${path}2`;

/** `flags` where GRUB finds the block whole. */
type Found = Readonly<{ path: string; block?: Uint8Array; flags?: SlotFlags }>;

const LONGEST = 64 * 1024;
/** The first byte of the block's signature, and what stands there while the rest is written. */
const WHOLE = Uint8Array.of(0x23);
const DAMAGED = Uint8Array.of(0x21);

const loadBoth = ({ readPart, path }: GrubWorld): Promise<Found[]> =>
  Promise.all(
    [path, copyOf(path)].map(async (one) => {
      const part = await readPart(one, 0, LONGEST).catch(namedLink(one));
      if (!part) return { path: one };
      if (part.size > LONGEST) throw tooLong(one, part.size);
      const variables = readVariables(part.bytes);
      // Of two lines with one name the later counts.
      const flags = variables && readFlags(new Map(variables));
      return { path: one, block: part.bytes, ...(flags ? { flags } : {}) };
    }),
  );

/** In place, since neither GRUB nor FAT could replace a file at one stroke. While it is not whole, GRUB refuses it and reads the other. */
async function replace(world: GrubWorld, { path, block: before }: Found, block: Uint8Array): Promise<void> {
  const { files, writePart } = world;
  const put = async (offset: number, bytes: Uint8Array): Promise<void> => {
    await writePart(path, offset, bytes);
    await files.syncFile(path);
  };
  if (before?.length === block.length) await put(0, DAMAGED);
  else await make(world, path, block.length);
  await put(WHOLE.length, block.subarray(WHOLE.length));
  await put(0, WHOLE);
}

/** A file of the right length that GRUB refuses. */
async function make({ files }: GrubWorld, path: string, size: number): Promise<void> {
  await files.makeDir(dirname(path));
  await files.write(path, [new Uint8Array(size).fill(DAMAGED[0] ?? 0)]);
  await files.syncFile(path);
  await files.syncDir(dirname(path));
}

/** Fedora has one on /boot that leads to the ESP. GRUB does not follow it there, and a copy beside it would be of no use. */
const namedLink =
  (path: string) =>
  (error: unknown): never => {
    const cause = error instanceof UpdateError ? error.cause : error;
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ELOOP')) throw error;
    const sentence = `${path} is a link. Set boot.grub_environment to the file that it leads to: \`readlink -f ${path}\`.`;
    throw new UpdateError('boot-environment', sentence, { cause });
  };

async function missing({ files, path }: GrubWorld): Promise<UpdateError> {
  const sentence = `Neither ${path} nor ${copyOf(path)} exists`;
  const isEmpty = (await files.list(dirname(path))).length === 0;
  return isEmpty ? notMounted(sentence, dirname(path)) : new UpdateError('boot-environment', `${sentence}.`);
}

const tooLong = (path: string, size: number): UpdateError =>
  new UpdateError('boot-environment', `${path} has ${size} bytes; an environment of GRUB has ${BLOCK_SIZE}.`);
