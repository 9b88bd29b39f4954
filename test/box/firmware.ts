/** The firmware of a box, as systemd-boot chooses: takes the first entry, counts its try, and finds the root that its hash names. */

import { readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { SlotName } from '../../src/model.ts';
import { readDiskFacts } from '../../src/partitions/disk-facts.ts';

export type BootEntry = Readonly<{
  file: string;
  version: string;
  /** Tries left; absent where none are counted. */
  left?: number;
  done: number;
  rootHash: string;
  commandLine: string;
  panics: boolean;
}>;

/** A kernel with this in it does not start. */
export const PANIC = 'This kernel panics.';

/** The entries in the order in which they are taken: used-up ones last, then the newest first. What is no UKI is none. */
export async function bootEntries(folder: string): Promise<BootEntry[]> {
  const files = (await readdir(folder).catch(() => [])).filter((file) => file.endsWith('.efi'));
  const entries = await Promise.all(files.map((file) => readEntry(folder, file)));
  return entries.filter((one) => one.rootHash !== '').sort(inBootOrder);
}

async function readEntry(folder: string, file: string): Promise<BootEntry> {
  const [, version = '', left, done] = /_([^+]+?)(?:\+(\d+)(?:-(\d+))?)?\.efi$/.exec(file) ?? [];
  const text = (await readFile(join(folder, file))).toString('latin1');
  const [commandLine = '', rootHash = ''] = /quiet roothash=([0-9a-f]{64})/.exec(text) ?? [];
  const tries = left === undefined ? {} : { left: Number(left) };
  return { file, version, rootHash, commandLine, done: Number(done ?? 0), panics: text.includes(PANIC), ...tries };
}

const inBootOrder = (one: BootEntry, two: BootEntry): number =>
  Number(one.left === 0) - Number(two.left === 0) || byVersion(two.version, one.version);

const byVersion = (one: string, two: string): number => one.localeCompare(two, 'en', { numeric: true });

/** Takes a try off its name, as the boot loader does before it starts it. */
export async function countTry(folder: string, { file, left, done }: BootEntry): Promise<string> {
  if (left === undefined) return file;
  const counted = file.replace(/\+.*$/, `+${Math.max(0, left - 1)}-${done + 1}.efi`);
  await rename(join(folder, file), join(folder, counted));
  return counted;
}

/** Whose root partition carries the UUID that belongs to a root hash. */
export async function slotOf(disk: string, rootHash: string): Promise<SlotName | undefined> {
  const { partitions } = await readDiskFacts(disk);
  const found = partitions.find(({ uuid }) => uuid.replaceAll('-', '') === rootHash.slice(0, 32));
  return found?.label === 'root-a' ? 'a' : found?.label === 'root-b' ? 'b' : undefined;
}
