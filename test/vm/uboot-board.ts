/** A virtual board with real U-Boot: its environment in flash, its script and two "kernels" on the ESP of a disk. */

import { spawn } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SlotName } from '../../src/model.ts';
import { efiProgram } from './efi-program.ts';
import { PROJECT, run } from './programs.ts';
import { createSerialLog } from './serial-log.ts';

/** What the board did: start a slot, or begin again from the reset. */
export type Outcome = SlotName | 'reset';

export type Board = AsyncDisposable &
  Readonly<{
    /** The fw_env.config of its flash. */
    environment: string;
    start(): Promise<Outcome>;
    /** As fw_setenv does it from the running system. */
    set(variables: Readonly<Record<string, string>>): Promise<void>;
    variables(): Promise<Readonly<Record<string, string>>>;
    /** Another file in the place of a kernel; without bytes, none. */
    putKernel(slot: SlotName, bytes?: Uint8Array): Promise<void>;
    /** The environment is lost. */
    wipe(): Promise<void>;
  }>;

/** Boards, each like the first was after its first start, at which U-Boot has written its own environment. */
export async function boardFactory(): Promise<AsyncDisposable & { make(): Promise<Board> }> {
  const uboot = await run('packaging/image/uboot', []);
  const dir = await mkdtemp(join(tmpdir(), 'tandem-uboot-board-'));
  const disk = await makeDisk(dir);
  const first = await makeBoard(uboot, dir, disk, undefined);
  await first.start();
  // No waiting for keys, USB sticks or the network; the disk's script before anything that EFI variables name.
  await first.set({ bootdelay: '0', preboot: '', boot_targets: 'virtio', bootmeths: 'script' });
  const flash = (await readFile(first.flash)).subarray(0, FLASH_USED);
  return {
    make: () => makeBoard(uboot, dir, disk, flash),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true }),
  };
}

const FLASH_SIZE = 64 * 1024 * 1024;
const FLASH_USED = 0x40000;
const BOOT_LIMIT_MS = 60_000;
const ESP_MIB = 40;

/** What lies on the ESP for a slot. */
export const kernelOf = (slot: SlotName): Uint8Array => efiProgram(sayingOf(slot));

const sayingOf = (slot: SlotName): string => `this is slot ${slot}`;

async function makeBoard(
  uboot: string,
  parent: string,
  template: string,
  flashed: Uint8Array | undefined,
): Promise<Board & { flash: string }> {
  const dir = await mkdtemp(join(parent, 'board-'));
  const [flash, disk, environment] = ['flash', 'disk', 'fw_env.config'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  const wipe = async (content: Uint8Array = new Uint8Array()): Promise<void> => {
    await writeFile(flash, content);
    await truncate(flash, FLASH_SIZE);
  };
  await wipe(flashed);
  await copyFile(template, disk);
  await writeFile(environment, `${flash} 0x0 0x${FLASH_USED.toString(16)}\n`);
  const set: Board['set'] = async (variables) => {
    const script = join(dir, 'script');
    await writeFile(
      script,
      Object.entries(variables)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    );
    await run('fw_setenv', ['-c', environment, '-s', script]);
  };
  return {
    flash,
    environment,
    start: () => startBoard(uboot, flash, disk),
    set,
    variables: async () => {
      const lines = (await run('fw_printenv', ['-c', environment])).split('\n');
      return Object.fromEntries(lines.map((line) => [line.split('=', 1)[0], line.slice(line.indexOf('=') + 1)]));
    },
    putKernel: async (slot, bytes) => {
      const file = `::EFI/tandem/${slot}.efi`;
      if (bytes) await putFile(dir, disk, file, bytes);
      else await mtools('mdel', disk, file);
    },
    wipe: () => wipe(),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true }),
  };
}

async function startBoard(uboot: string, flash: string, disk: string): Promise<Outcome> {
  const args = [
    ...['-machine', 'virt', '-cpu', 'cortex-a57', '-m', '256', '-nodefaults', '-display', 'none', '-nic', 'none'],
    ...['-serial', 'stdio', '-no-reboot', '-bios', join(uboot, 'u-boot/qemu_arm64/u-boot.bin')],
    ...['-drive', `if=pflash,format=raw,index=1,file=${flash}`, '-drive', `if=virtio,format=raw,file=${disk}`],
  ];
  const board = spawn(join(uboot, 'bin/qemu-system-aarch64'), args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const log = createSerialLog();
  const ended = new Promise<void>((resolve) => {
    board.on('exit', () => {
      log.cut('reset');
      resolve();
    });
  });
  board.stdout.on('data', (bytes: Uint8Array) => log.feed(bytes));
  try {
    return await log.next(outcomeOf, 0, BOOT_LIMIT_MS);
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${log.tail(40)}`);
  } finally {
    board.kill('SIGKILL');
    await ended;
  }
}

function outcomeOf(line: string): Outcome | undefined {
  if (line === '--- reset') return 'reset';
  return line.includes(sayingOf('a')) ? 'a' : line.includes(sayingOf('b')) ? 'b' : undefined;
}

async function makeDisk(dir: string): Promise<string> {
  const [disk, script] = [join(dir, 'disk'), join(dir, 'boot.scr')];
  await writeFile(disk, '');
  await truncate(disk, (ESP_MIB + 2) * 1024 * 1024);
  await writeFile(join(dir, 'table'), `label: gpt\nstart=2048, size=${ESP_MIB}MiB, type=uefi, name=esp\n`);
  await run('sh', ['-c', 'sfdisk --quiet "$1" <"$2"', 'sh', disk, join(dir, 'table')]);
  await run('mkfs.vfat', ['--offset', '2048', '-F', '32', disk, String(ESP_MIB * 1024)]);
  await run('mkimage', ['-A', 'arm64', '-T', 'script', '-d', `${PROJECT}packaging/boot/uboot.cmd`, script]);
  await mtools('mmd', disk, '::EFI', '::EFI/tandem');
  await putFile(dir, disk, '::boot.scr', await readFile(script));
  for (const slot of ['a', 'b'] as const) await putFile(dir, disk, `::EFI/tandem/${slot}.efi`, kernelOf(slot));
  return disk;
}

async function putFile(dir: string, disk: string, path: string, bytes: Uint8Array): Promise<void> {
  const source = join(dir, 'file');
  await writeFile(source, bytes);
  await run('mcopy', ['-o', '-i', `${disk}@@1M`, source, path], { MTOOLS_SKIP_CHECK: '1' });
}

async function mtools(program: string, disk: string, ...paths: string[]): Promise<void> {
  await run(program, ['-i', `${disk}@@1M`, ...paths], { MTOOLS_SKIP_CHECK: '1' });
}
