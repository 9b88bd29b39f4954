/** A machine that GRUB starts: the real GRUB, as a program, runs the grub.cfg that we ship on the real FAT of an ESP. */

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
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

/** With an environment as `grub-editenv` makes it. */
export async function grubMachine(variables: readonly string[]): Promise<GrubMachine> {
  const home = await mkdtemp(join(tmpdir(), 'tandem-grub-'));
  const esp = join(home, 'esp');
  const dir = join(esp, 'EFI/tandem');
  const environment = join(dir, 'grubenv');
  await mkdir(dir, { recursive: true });
  await mkdir(join(home, 'boot'));
  await makeImage(home);
  await exec('grub-editenv', [environment, 'create']);
  const set = async (...assignments: string[]): Promise<void> => {
    await exec('grub-editenv', [environment, 'set', ...assignments]);
  };
  if (variables.length > 0) await set(...variables);
  return {
    esp,
    dir,
    environment,
    start: () => start(home),
    list: async () => (await exec('grub-editenv', [environment, 'list'])).stdout,
    set,
    [Symbol.asyncDispose]: () => rm(home, { recursive: true }),
  };
}

/** A kernel that is found and loaded, and gives control back at once. */
export const RETURNING_KERNEL = '# GRUB Environment Block\nreturns=1\n';

/**
 * What the firmware gives GRUB: the partition it was loaded from, and a command that starts a program. Instead of starting, the
 * program's name is written down and the emulator ends.
 */
const FIRMWARE = `set cmdpath="(hd0)/EFI/BOOT"
set prefix=(host)/usr/lib/grub
function chainloader {
  unset returns
  if [ ! -s "$1" ]; then false; else
    load_env -f "$1" returns
    if [ "$returns" = 1 ]; then true; else
      set started="$1"
      save_env -f (hd0)/started started
      reboot
    fi
  fi
}
source (host)${GRUB_CFG}
`;

async function makeImage(home: string): Promise<void> {
  const image = join(home, 'image');
  await writeFile(image, '');
  await truncate(image, 1024 * 1024);
  await exec('mkfs.vfat', ['-n', 'ESP', image], {
    env: { ...process.env, PATH: `${process.env['PATH']}:/sbin:/usr/sbin` },
  });
  await writeFile(join(home, 'boot/grub.cfg'), FIRMWARE);
  await writeFile(join(home, 'map'), `(hd0) ${image}\n`);
}

async function start(home: string): Promise<SlotName | undefined> {
  const image = join(home, 'image');
  const started = join(home, 'started');
  await exec('grub-editenv', [started, 'create']);
  // The image is not mounted, which nobody but root could do: what the system has written is put there, what GRUB writes is fetched.
  await exec('mdeltree', ['-i', image, '::EFI'], mtools).catch(() => undefined);
  await exec('mcopy', ['-s', '-o', '-i', image, join(home, 'esp/EFI'), started, '::'], mtools);
  await exec('grub-emu', ['-d', join(home, 'boot'), '-m', join(home, 'map'), '-r', 'host'], {
    env: { ...process.env, TERM: 'dumb' },
    timeout: 60_000,
  });
  await exec('mcopy', ['-n', '-o', '-i', image, '::started', started], mtools);
  await exec('mcopy', ['-n', '-o', '-i', image, '::EFI/tandem/grubenv*', join(home, 'esp/EFI/tandem')], mtools).catch(
    () => undefined,
  );
  const [, slot] = /^started=\(hd0\)\/EFI\/tandem\/([ab])\.efi$/m.exec(await readFile(started, 'latin1')) ?? [];
  return slot as SlotName | undefined;
}
