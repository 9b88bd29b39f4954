/** GRUB: flags in its environment and a copy of it, of which at least one is always valid. */

import { dirname } from 'node:path';
import { UpdateError } from '../../errors.ts';
import type { Files, ReadPart, WritePart } from '../../system/files.ts';
import { notMounted } from './bootloader.ts';
import type { FlagStore } from './flags-backend.ts';
import { BLOCK_SIZE, readVariables, writeVariables } from './grub-environment.ts';
import { MOST_TRIES, readFlags, unknownFlags, writeFlags } from './grub-flags.ts';
import type { SlotFlags } from './slot-flags.ts';

/** `path` is the environment; grub.cfg expects the copy next to it. */
export type GrubWorld = Readonly<{
  files: Pick<Files, 'list' | 'write' | 'makeDir' | 'syncFile' | 'syncDir'>;
  readPart: ReadPart;
  writePart: WritePart;
  path: string;
}>;

/** Power may fail at any byte that `save` writes: GRUB then reads either the old or the new flags. */
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
      // The block that GRUB reads now is written last, so that one block is always valid.
      for (const file of files.toSorted((one, other) => Number(one === whole) - Number(other === whole)))
        await replace(world, file, block);
    },
  };
}

/** The path where GRUB looks for the copy. */
export const copyOf = (path: string): string => `${path}2`;

/** `flags` if GRUB would accept the block. */
type Found = Readonly<{ path: string; block?: Uint8Array; flags?: SlotFlags }>;

const LONGEST = 64 * 1024;
/** The first byte of the block's signature, and its replacement while the rest is written. */
const WHOLE = Uint8Array.of(0x23);
const DAMAGED = Uint8Array.of(0x21);

const loadBoth = ({ readPart, path }: GrubWorld): Promise<Found[]> =>
  Promise.all(
    [path, copyOf(path)].map(async (one) => {
      const part = await readPart(one, 0, LONGEST).catch(namedLink(one));
      if (!part) return { path: one };
      if (part.size > LONGEST) throw tooLong(one, part.size);
      const variables = readVariables(part.bytes);
      // Of two lines with the same name, the later wins.
      const flags = variables && readFlags(new Map(variables));
      return { path: one, block: part.bytes, ...(flags ? { flags } : {}) };
    }),
  );

/** Writes in place, because neither GRUB nor FAT can replace a file atomically. GRUB refuses an incomplete block and reads the other. */
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

/** Fedora has a link on /boot to the ESP. GRUB does not follow it there, so a copy next to the link would be useless. */
const namedLink =
  (path: string) =>
  (error: unknown): never => {
    const cause = error instanceof UpdateError ? error.cause : error;
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ELOOP')) throw error;
    const sentence = `${path} is a link. Set boot.grub_environment to its target: \`readlink -f ${path}\`.`;
    throw new UpdateError('boot-environment', sentence, { cause });
  };

async function missing({ files, path }: GrubWorld): Promise<UpdateError> {
  const sentence = `Neither ${path} nor ${copyOf(path)} exists`;
  const isEmpty = (await files.list(dirname(path))).length === 0;
  return isEmpty ? notMounted(sentence, dirname(path)) : new UpdateError('boot-environment', `${sentence}.`);
}

const tooLong = (path: string, size: number): UpdateError =>
  new UpdateError('boot-environment', `${path} has ${size} bytes; an environment of GRUB has ${BLOCK_SIZE}.`);
