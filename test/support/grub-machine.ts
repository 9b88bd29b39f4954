/** A machine that GRUB starts: the real GRUB, as a program, runs the grub.cfg that we ship on the real FAT of an ESP. */

import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { SlotName } from '../../src/model.ts';

const exec = promisify(execFile);
const GRUB_CFG = join(import.meta.dirname, '../../packaging/boot/grub.cfg');
const mtools = { env: { ...process.env, MTOOLS_SKIP_CHECK: '1' } };

export type GrubMachine = AsyncDisposable &
  Readonly<{
    /** The root of the ESP, as the running system sees it. */
    esp: string;
    /** The folder of kernels and environment. */
    dir: string;
    environment: string;
    /** Switches the machine on: the slot that GRUB starts; undefined when it found none and begins again. */
    start(): Promise<SlotName | undefined>;
    /** What `grub-editenv list` says. */
    list(): Promise<string>;
    /** What `grub-editenv set` does. */
    set(...assignments: string[]): Promise<void>;
  }>;

export type GrubOptions = Readonly<{
  /** The variable in which GRUB says from where it was loaded. */
  pathIn?: 'cmdpath' | 'fw_path';
  /** The ESP is the second disk, after a stick that holds a copy of it as it is when the machine is first started. */
  stick?: boolean;
}>;

/** With an environment as `grub-editenv` makes it. */
export async function grubMachine(variables: readonly string[], options: GrubOptions = {}): Promise<GrubMachine> {
  const home = await mkdtemp(join(tmpdir(), 'tandem-grub-'));
  const esp = join(home, 'esp');
  const dir = join(esp, 'EFI/tandem');
  const environment = join(dir, 'grubenv');
  await mkdir(dir, { recursive: true });
  await mkdir(join(home, 'boot'));
  await makeImage(home, options);
  await exec('grub-editenv', [environment, 'create']);
  const set = async (...assignments: string[]): Promise<void> => {
    await exec('grub-editenv', [environment, 'set', ...assignments]);
  };
  if (variables.length > 0) await set(...variables);
  return {
    esp,
    dir,
    environment,
    start: () => start(home, deviceOf(options)),
    list: async () => (await exec('grub-editenv', [environment, 'list'])).stdout,
    set,
    [Symbol.asyncDispose]: () => rm(home, { recursive: true }),
  };
}

/** A kernel that is found and loaded, and gives control back at once. */
export const RETURNING_KERNEL = '# GRUB Environment Block\nreturns=1\n';

/** A kernel that cannot be read the first time. */
export const LATE_KERNEL = '# GRUB Environment Block\nlate=1\n';

/**
 * What the firmware gives GRUB: the partition it was loaded from, and a command that starts a program. Instead of starting, the
 * program's name is written down and the emulator ends.
 */
const firmware = (variable: string, device: string): string => `unset cmdpath
set ${variable}="(${device})/EFI/BOOT"
set prefix=(host)/usr/lib/grub
function chainloader {
  unset returns
  unset late
  if [ -s "$1" ]; then load_env -f "$1" returns late; fi
  if [ ! -s "$1" ]; then false; elif [ "$late" = 1 -a "$read" != 1 ]; then set read=1; false; else
    if [ "$returns" = 1 ]; then true; else
      set started="$1"
      save_env -f (${device})/started started
      reboot
    fi
  fi
}
source (host)${GRUB_CFG}
`;

const deviceOf = ({ stick }: GrubOptions): string => (stick ? 'hd1' : 'hd0');

async function makeImage(home: string, options: GrubOptions): Promise<void> {
  const image = join(home, 'image');
  await writeFile(image, '');
  await truncate(image, 1024 * 1024);
  await exec('mkfs.vfat', ['-n', 'ESP', image], {
    env: { ...process.env, PATH: `${process.env['PATH']}:/sbin:/usr/sbin` },
  });
  await writeFile(join(home, 'boot/grub.cfg'), firmware(options.pathIn ?? 'cmdpath', deviceOf(options)));
  const disks = options.stick ? [join(home, 'stick'), image] : [image];
  await writeFile(join(home, 'map'), disks.map((disk, index) => `(hd${index}) ${disk}\n`).join(''));
}

async function start(home: string, device: string): Promise<SlotName | undefined> {
  const image = join(home, 'image');
  const started = join(home, 'started');
  await exec('grub-editenv', [started, 'create']);
  // The image is not mounted, which nobody but root could do: what the system has written is put there, what GRUB writes is fetched.
  await exec('mdeltree', ['-i', image, '::EFI'], mtools).catch(() => undefined);
  await exec('mcopy', ['-s', '-o', '-i', image, join(home, 'esp/EFI'), started, '::'], mtools);
  await copyFile(image, join(home, 'stick'), constants.COPYFILE_EXCL).catch(() => undefined);
  await exec('grub-emu', ['-d', join(home, 'boot'), '-m', join(home, 'map'), '-r', 'host'], {
    env: { ...process.env, TERM: 'dumb' },
    timeout: 60_000,
  });
  await exec('mcopy', ['-n', '-o', '-i', image, '::started', started], mtools);
  await exec('mcopy', ['-n', '-o', '-i', image, '::EFI/tandem/grubenv*', join(home, 'esp/EFI/tandem')], mtools).catch(
    () => undefined,
  );
  const [, from, slot] =
    /^started=\((hd[01])\)\/EFI\/tandem\/([ab])\.efi$/m.exec(await readFile(started, 'latin1')) ?? [];
  if (from !== undefined && from !== device) throw new Error(`GRUB has started from ${from}, not from ${device}`);
  return slot as SlotName | undefined;
}
