/** A Raspberry Pi as far as its firmware's files go: `autoboot.txt` on a real FAT file system, two boot partitions, and who reads them. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { openBootLoader } from '../../src/agent/boot-loader.ts';
import { resolveConfig } from '../../src/config.ts';
import { SLOT_NAMES, type SlotName } from '../../src/model.ts';
import type { Kernels } from '../../src/reboot/bootloaders/kernels.ts';
import { UKI_NAME } from '../../src/reboot/bootloaders/tryboot-kernels.ts';
import { realExec } from '../../src/system/exec.ts';
import { type Files, type ReadPart, readPart, realFiles, type WritePart, writePart } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import type { Bench } from '../reboot/backend-conformance.ts';
import { incoming, PRODUCT, rootHashOfVersion } from './esp.ts';
import { MIB, sh } from './loop-disk.ts';
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
  const world = { ...filesOn(fat), freeSpace: async () => MIB, exec: realExec, log: silentLog };
  const host = { product: PRODUCT, slotOfRootHash: async () => undefined, attributes: undefined as never };
  const { backend, kernels } = openBootLoader(resolveConfig([{ path: 'test', text }]), world, host);
  let asked = false;
  const install = (slot: SlotName, version: string) => kernels.put(slot, piIncoming(version), oneChunk(piUki(version)));
  await install('a', '2');
  return {
    kernels,
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

export type FatImage = Readonly<{
  path: string;
  get(name: string): Uint8Array | undefined;
  put(name: string, bytes: Uint8Array): void;
  move(from: string, to: string): void;
  list(): string[];
  /** As Linux writes a file that keeps its length: the bytes of its first cluster, and nothing else. */
  overwrite(name: string, bytes: Uint8Array): void;
}>;

/** Made by mkfs.vfat, read and written by mtools. */
function fatImage(path: string): FatImage {
  sh('mkfs.vfat', '-C', path, '1024');
  const at = (name: string): string => `::/${name}`;
  const list = (): string[] =>
    sh('mdir', '-b', '-i', path, '::/')
      .split('\n')
      .filter(Boolean)
      .map((one) => basename(one).toLowerCase());
  const get = (name: string): Uint8Array | undefined =>
    list().includes(name) ? execFileSync('mtype', ['-i', path, at(name)]) : undefined;
  return {
    path,
    list,
    get,
    put: (name, bytes) => void execFileSync('mcopy', ['-o', '-i', path, '-', at(name)], { input: bytes }),
    move: (from, to) => {
      if (list().includes(to)) sh('mdel', '-i', path, at(to));
      sh('mren', '-i', path, at(from), at(to));
    },
    overwrite: (name, bytes) => {
      const image = readFileSync(path);
      const cluster = Number(/<(\d+)/.exec(sh('mshowfat', '-i', path, at(name)))?.[1]);
      const start = Number(/Data area starts at byte (\d+)/.exec(sh('fsck.vfat', '-nv', path))?.[1]);
      const size = Number(/(\d+) bytes per cluster/.exec(sh('fsck.vfat', '-nv', path))?.[1]);
      image.set(bytes, start + (cluster - 2) * size);
      writeFileSync(path, image);
    },
  };
}

/** Real files, but for the folder that is the FAT file system. */
function filesOn(fat: FatImage): { files: Files; readPart: ReadPart; writePart: WritePart } {
  const isFat = (path: string): boolean => path.startsWith(`${FAT}/`) || path === FAT;
  const files: Files = {
    ...realFiles,
    read: async (path) => (isFat(path) ? fat.get(basename(path)) : realFiles.read(path)),
    list: async (dir) => (isFat(dir) ? fat.list() : realFiles.list(dir)),
    write: async (path, chunks) => {
      if (!isFat(path)) return realFiles.write(path, chunks);
      const pieces: Uint8Array[] = [];
      for await (const chunk of chunks) pieces.push(chunk);
      fat.put(basename(path), Buffer.concat(pieces));
    },
    rename: async (from, to) => (isFat(from) ? fat.move(basename(from), basename(to)) : realFiles.rename(from, to)),
    syncFile: async (path) => (isFat(path) ? undefined : realFiles.syncFile(path)),
    syncDir: async (path) => (isFat(path) ? undefined : realFiles.syncDir(path)),
  };
  return {
    files,
    readPart: async (path, offset, length) => {
      if (!isFat(path)) return readPart(path, offset, length);
      const bytes = fat.get(basename(path));
      return bytes && { bytes: bytes.subarray(offset, offset + length), size: bytes.length };
    },
    writePart: async (path, offset, bytes) => {
      if (!isFat(path)) return writePart(path, offset, bytes);
      fat.overwrite(basename(path), bytes);
    },
  };
}
