/**
 * A folder as efivarfs shows one, and the firmware that goes by it. It begins with what OVMF made by itself, and the option for slot a as
 * efibootmgr adds it.
 */

import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SlotName } from '../../src/model.ts';
import type { PartitionPlace } from '../../src/reboot/bootloaders/boot-option.ts';
import { efiVariablesBackend } from '../../src/reboot/bootloaders/efi-variables.ts';
import { type EfiVariables, efiVariableFiles } from '../../src/system/efi-variable-files.ts';
import { realFiles } from '../../src/system/files.ts';
import { realExec, run } from '../../src/system/process/exec.ts';
import type { Bench } from '../reboot/backend-conformance.ts';
import { kernelFolder } from './kernel-folder.ts';

const GOLDEN = join(import.meta.dirname, '..', 'golden', 'efi-variables');

/** Of the ESP that the option for slot a names. */
export const espPlace = async (): Promise<PartitionPlace> => ({
  number: 1,
  firstSector: 0x800,
  sectors: 0x20000,
  guid: Buffer.from('612e09a236b24454b1c1504a3c8e81ed', 'hex'),
});

export type EfiFolder = AsyncDisposable & Readonly<{ dir: string; variables: EfiVariables }>;

export async function efiFolder(): Promise<EfiFolder> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-efivars-'));
  await cp(GOLDEN, dir, { recursive: true });
  const variables = efiVariableFiles(realFiles, dir);
  return { dir, variables, [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) };
}

/** What efibootmgr says or does with the folder. */
export const efibootmgr = ({ dir }: EfiFolder, ...args: string[]): Promise<string> =>
  run(realExec, 'efibootmgr', args, { env: { EFIVARFS_PATH: `${dir}/` }, package: 'efibootmgr' });

/** Numbers and files of the options, as efibootmgr reads them. */
export async function optionFiles(folder: EfiFolder): Promise<ReadonlyMap<string, string>> {
  const lines = (await efibootmgr(folder, '-v')).split('\n');
  const found = lines.map((line) => /^Boot([0-9A-F]{4})\*.*HD\(1,GPT,.*File\((\\[^)]*)\)/.exec(line));
  return new Map(found.flatMap((one) => (one?.[1] && one[2] ? [[one[1], one[2]] as const] : [])));
}

/** The choice by the specification: `BootNext` is taken once, then the order; an option whose file is not there is passed over. */
export async function startFirmware(
  folder: EfiFolder,
  isThere: (slot: SlotName) => boolean,
): Promise<SlotName | undefined> {
  const options = await optionFiles(folder);
  const told = await efibootmgr(folder);
  const next = /^BootNext: (\w+)/m.exec(told)?.[1];
  const order = /^BootOrder: ([\w,]+)/m.exec(told)?.[1]?.split(',') ?? [];
  if (next !== undefined) await efibootmgr(folder, '-q', '-N');
  for (const number of [...(next === undefined ? [] : [next]), ...order]) {
    const slot = /\\EFI\\tandem\\([ab])\.efi/.exec(options.get(number) ?? '')?.[1] as SlotName | undefined;
    if (slot && isThere(slot)) return slot;
  }
  return undefined;
}

export async function efiBench(): Promise<Bench> {
  const folder = await efiFolder();
  const { versionOf, ...kernels } = await kernelFolder();
  const numberOf = async (slot: SlotName): Promise<string> =>
    [...(await optionFiles(folder))].find(([, file]) => file.endsWith(`${slot}.efi`))?.[0] ?? '';
  return {
    backend: efiVariablesBackend(folder.variables, versionOf, espPlace),
    ...kernels,
    start: async () => {
      const there = { a: await versionOf('a'), b: await versionOf('b') };
      return startFirmware(folder, (slot) => there[slot] !== undefined);
    },
    bless: async (slot) => {
      const order = /^BootOrder: ([\w,]+)/m.exec(await efibootmgr(folder))?.[1];
      await efibootmgr(folder, '-q', '-o', `${await numberOf(slot)},${order}`);
    },
    [Symbol.asyncDispose]: async () => {
      await kernels[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
