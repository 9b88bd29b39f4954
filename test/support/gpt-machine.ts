/** A machine whose boot loader keeps its flags in the partition table: a disk in a file, and cgpt as the one that reads and counts. */

import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBootLoader } from '../../src/agent/boot-loader.ts';
import { findHost, realDoors, slotLabels } from '../../src/agent/install/host.ts';
import { resolveConfig } from '../../src/config/config.ts';
import { SLOT_NAMES, type SlotName } from '../../src/model.ts';
import { kernelName } from '../../src/reboot/kernels/slot-kernels.ts';
import { readPart, realFiles, writePart } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { realExec } from '../../src/system/process/exec.ts';
import type { Bench } from '../reboot/backend-conformance.ts';
import { incoming, PRODUCT, uki } from './esp.ts';
import { MIB, sh } from './loop-disk.ts';

export type GptFlags = Readonly<{ priority: number; tries: number; successful: boolean }>;
export type GptMachine = Bench & Readonly<{ disk: string }>;

/** The partitions of the two roots; a third one has the type of a root and no flags. */
const NUMBERS: Readonly<Record<SlotName, number>> = { a: 2, b: 4 };
const LABELS = ['esp', 'root-a', 'root-a-verity', 'root-b', 'root-b-verity'];

export async function gptMachine(): Promise<GptMachine> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-gpt-'));
  const disk = join(dir, 'disk.img');
  await makeDisk(disk);
  const config = resolveConfig([{ path: 'test', text: `[boot]\nbackend = "gpt"\nesp = "${dir}"\n` }]);
  const doors = { ...realDoors(disk, () => {}), booted: () => 'a' as const };
  const host = await findHost(slotLabels(config), doors);
  const world = {
    files: realFiles,
    readPart,
    writePart,
    writableSpace: async () => MIB,
    exec: realExec,
    log: silentLog,
  };
  const { backend, kernels } = openBootLoader(config, world, { ...host, product: PRODUCT });
  const install = (slot: SlotName, version: string) => kernels.put(slot, incoming(version), [uki(version)] as never);
  // As the image builder does.
  await mkdir(join(dir, 'EFI/tandem'), { recursive: true });
  await writeFile(join(dir, kernelName('a')), uki('2'));
  setFlags(disk, 'a', { priority: 1, tries: 0, successful: true });
  return {
    disk,
    backend,
    kernels,
    install,
    remove: (slot) => rm(join(dir, kernelName(slot))),
    start: async () => startSlot(disk),
    bless: async (slot) => setFlags(disk, slot, { tries: 0, successful: true }),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true }),
  };
}

/** A table as sfdisk makes it, 1 MiB for each partition. */
export async function makeDisk(disk: string): Promise<void> {
  await writeFile(disk, '');
  await truncate(disk, 8 * MIB);
  const input = ['label: gpt', ...LABELS.map((label) => `size=1MiB, name="${label}"`), ''].join('\n');
  execFileSync('sfdisk', ['--quiet', disk], { input, stdio: ['pipe', 'ignore', 'pipe'] });
}

/** As cgpt reads them. */
export function cgptFlags(disk: string, slot: SlotName): GptFlags {
  const number = (what: string): number => Number(sh('cgpt', 'show', '-i', String(NUMBERS[slot]), what, disk).trim());
  return { priority: number('-P'), tries: number('-T'), successful: number('-S') === 1 };
}

export function setFlags(disk: string, slot: SlotName, { priority, tries, successful }: Partial<GptFlags>): void {
  const option = (name: string, value: number | undefined) => (value === undefined ? [] : [name, String(value)]);
  const success = successful === undefined ? undefined : Number(successful);
  const options = [...option('-P', priority), ...option('-T', tries), ...option('-S', success)];
  sh('cgpt', 'add', '-i', String(NUMBERS[slot]), ...options, disk);
}

/** What GRUB's gptprio does: of those that may start, the strictly highest priority; a try is counted before the start. */
export function startSlot(disk: string): SlotName | undefined {
  const slots = SLOT_NAMES.map((slot) => ({ slot, ...cgptFlags(disk, slot) }));
  const chosen = chosenOf(slots);
  const found = slots.find(({ slot }) => slot === chosen);
  if (found && found.tries > 0) setFlags(disk, found.slot, { tries: found.tries - 1 });
  return chosen;
}

/** The rule alone, in the order of the table. */
export function chosenOf(slots: readonly (GptFlags & Readonly<{ slot: SlotName }>)[]): SlotName | undefined {
  let best: (GptFlags & Readonly<{ slot: SlotName }>) | undefined;
  for (const one of slots) if ((one.tries > 0 || one.successful) && one.priority > (best?.priority ?? 0)) best = one;
  return best?.slot;
}
