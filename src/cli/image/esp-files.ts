/** Copies of the files on an EFI system partition that decide what starts: by mtools, few and small enough for any disk. */

import { basename } from 'node:path';
import { PRODUCT_PATTERN, type Product } from '../../model.ts';
import type { GptEntry } from '../../partitions/gpt.ts';
import { isOurs } from '../../reboot/kernels/entry-name.ts';
import { attempt } from '../../system/process/exec.ts';
import type { Inspection } from './inspection.ts';

/** `folder`: where they are in the scratch folder, by their paths on the ESP. */
export type EspFiles = Readonly<{
  folder: string;
  paths: readonly string[];
  products: readonly Product[];
  faults: readonly string[];
}>;

type Tools = Pick<Inspection, 'exec' | 'scratch' | 'signal'>;

export async function takeFiles(esp: GptEntry, tools: Tools): Promise<EspFiles> {
  const paths: string[] = [];
  const faults: string[] = [];
  for (const [folder, isWanted] of FOLDERS) {
    const names = (await list(esp, folder, tools)).filter(isWanted);
    await take(esp, folder, names.slice(0, MOST_FILES), tools);
    paths.push(...names.map((name) => `${folder}/${name}`));
    if (names.length > MOST_FILES) faults.push(`${folder} has ${names.length} files; ${MOST_FILES} were read`);
  }
  const products = paths.map(productOf).filter((product) => product !== undefined);
  return { folder: COPY, paths, products: [...new Set(products)], faults };
}

export const isOnEsp = ({ paths }: EspFiles, path: string): boolean =>
  paths.some((one) => one.toLowerCase() === path.toLowerCase());

const COPY = 'esp';
const MOST_FILES = 64;
const TIMEOUT_MS = 60_000;

/** FAT keeps the case of names, but does not mind it. */
const FOLDERS: readonly (readonly [folder: string, isWanted: (name: string) => boolean])[] = [
  ['EFI/Linux', (name) => productIn(name) !== undefined],
  ['EFI/tandem', (name) => /^([ab]\.efi|grubenv2?)$/i.test(name)],
  ['loader', (name) => /^loader\.conf$/i.test(name)],
];

const productOf = (path: string): Product | undefined =>
  path.startsWith('EFI/Linux/') ? productIn(basename(path)) : undefined;

function productIn(name: string): Product | undefined {
  const [product = ''] = name.split('_', 1);
  return PRODUCT_PATTERN.test(product) && isOurs(product as Product, name) ? (product as Product) : undefined;
}

const image = ({ offset }: GptEntry): string => `disk@@${offset}`;

/** Nothing for a folder that is not there; fails for anything else than FAT. */
async function list(esp: GptEntry, folder: string, { exec, signal }: Tools): Promise<string[]> {
  const limits = { signal, timeoutMs: TIMEOUT_MS };
  const { stdout } = await attempt(exec, 'mdir', ['-b', '-i', image(esp), `::/${folder}`], limits);
  const names = stdout.split('\n').map((line) => line.slice(`::/${folder}/`.length));
  // FAT could have a slash in a name, which would lead elsewhere; folders end in one.
  return names.filter((name) => name !== '' && !name.includes('/'));
}

async function take(esp: GptEntry, folder: string, names: readonly string[], tools: Tools): Promise<void> {
  const { exec, scratch, signal } = tools;
  await scratch.makeDir(`${COPY}/${folder}`, 0o700);
  if (names.length === 0) return;
  const sources = names.map((name) => `::/${folder}/${quoted(name)}`);
  const limits = { signal, timeoutMs: TIMEOUT_MS };
  await attempt(exec, 'mcopy', ['-n', '-i', image(esp), ...sources, `${COPY}/${folder}/`], limits);
}

/** mtools reads patterns. */
const quoted = (name: string): string => name.replaceAll(/[[\]*?\\]/g, '\\$&');
