/** A Raspberry Pi as far as its firmware's files go: `autoboot.txt` on a real FAT file system, two boot partitions, and who reads them. */

import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBootLoader } from '../../src/agent/boot-loader.ts';
import { resolveConfig } from '../../src/config/config.ts';
import { SLOT_NAMES, type SlotName } from '../../src/model.ts';
import type { Kernels } from '../../src/reboot/kernels/kernels.ts';
import { UKI_NAME } from '../../src/reboot/kernels/tryboot-kernels.ts';
import { silentLog } from '../../src/system/log.ts';
import { realExec } from '../../src/system/process/exec.ts';
import type { Bench } from '../reboot/backend-conformance.ts';
import { incoming, PRODUCT, rootHashOfVersion } from './esp.ts';
import { type FatImage, fatImage, filesOn } from './fat-image.ts';
import { MIB } from './loop-disk.ts';
import { peFile } from './pe.ts';

export type TrybootMachine = Bench & Readonly<{ kernels: Kernels; fat: FatImage; dirs: Record<SlotName, string> }>;

/** As an image builder writes it. */
export const FIRST_AUTOBOOT = '[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n';
const PARTITIONS: Readonly<Record<SlotName, number>> = { a: 2, b: 3 };

export async function trybootMachine(): Promise<TrybootMachine> {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-tryboot-'));
  const dirs = { a: join(dir, 'a'), b: join(dir, 'b') };
  for (const slot of SLOT_NAMES) {
    mkdirSync(dirs[slot]);
    writeFileSync(join(dirs[slot], 'config.txt'), 'kernel=kernel8.img\ninitramfs initramfs followkernel\n');
  }
  const fat = fatImage(join(dir, 'autoboot.img'));
  fat.put('autoboot.txt', Buffer.from(FIRST_AUTOBOOT));
  const text = `[boot]\nbackend = "tryboot"\ntryboot_dir = "${FAT}"\ntryboot_a_dir = "${dirs.a}"\ntryboot_b_dir = "${dirs.b}"\n`;
  const world = { ...filesOn(fat, FAT), writableSpace: async () => MIB, exec: realExec, log: silentLog };
  const host = {
    product: PRODUCT,
    slotOfRootHash: async () => undefined,
    attributes: undefined as never,
    placeOf: undefined as never,
  };
  const { backend, kernels } = openBootLoader(resolveConfig([{ path: 'test', text }]), world, host);
  let asked = false;
  const install = (slot: SlotName, version: string) => kernels.put(slot, piIncoming(version), oneChunk(piUki(version)));
  await install('a', '2');
  return {
    kernels,
    kernel: (version, commandLine) => piUki(version, commandLine),
    fat,
    dirs,
    install,
    remove: (slot) => rm(join(dirs[slot], UKI_NAME)),
    // The agent restarts right after it has armed, with what the backend wants the firmware to be told.
    backend: {
      ...backend,
      arm: async (slot, tries) => {
        await backend.arm(slot, tries);
        asked = backend.rebootArgument === '0 tryboot';
      },
    },
    start: async () => {
      const slot = firmwareStarts(fat.get('autoboot.txt'), asked);
      asked = false;
      return slot && startsFrom(dirs[slot]) ? slot : undefined;
    },
    bless: async (slot) => {
      const other = PARTITIONS[slot === 'a' ? 'b' : 'a'];
      const lines = [
        '[all]',
        'tryboot_a_b=1',
        `boot_partition=${PARTITIONS[slot]}`,
        '[tryboot]',
        `boot_partition=${other}`,
      ];
      fat.put('autoboot.txt', Buffer.from(`${lines.join('\n')}\n`));
    },
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true }),
  };
}

/** A UKI with an arm64 kernel, as far as its firmware looks. */
export function piUki(version: string, commandLine = `quiet roothash=${rootHashOfVersion(version)} ro`): Uint8Array {
  const kernel = Buffer.alloc(3000, version);
  kernel.write('ARM\x64', 56, 'latin1');
  return peFile([
    ['.osrel', `ID=${PRODUCT}\nIMAGE_VERSION=${version}\n`],
    ['.cmdline', commandLine],
    ['.linux', kernel],
    ['.initrd', `initrd of ${version}`.repeat(200)],
  ]);
}

export const piIncoming = (version: string, bytes = piUki(version)) => incoming(version, bytes);

export async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Which slot's boot partition the firmware takes. It reads no more than 512 bytes; of several lines that apply, the last counts. */
export function firmwareStarts(file: Uint8Array | undefined, tryboot: boolean): SlotName | undefined {
  let applies = true;
  let partition: number | undefined;
  for (const line of Buffer.from(file ?? [])
    .subarray(0, 512)
    .toString('latin1')
    .split('\n')) {
    if (line.startsWith('[')) applies = line.startsWith('[all]') || (tryboot && line.startsWith('[tryboot]'));
    if (applies && line.startsWith('boot_partition=')) partition = Number(line.slice('boot_partition='.length));
  }
  return SLOT_NAMES.find((slot) => PARTITIONS[slot] === partition);
}

const startsFrom = (dir: string): boolean =>
  ['config.txt', 'kernel8.img', 'initramfs', 'cmdline.txt'].every((file) => readdirSync(dir).includes(file));

/** Where the files on the FAT file system are said to be. */
const FAT = '/fat';
