/** The reboot method `kexec`: the running kernel starts the next one, without firmware and boot loader. */

import { join } from 'node:path';
import type { Files } from '../../system/files.ts';
import { type Exec, run } from '../../system/process/exec.ts';
import type { FileReader } from '../kernels/uki-file.ts';
import { askToLeave } from './firmware.ts';
import { KEXECS, kernelParts, sectionBytes } from './kernel.ts';

type KexecWorld = Readonly<{
  exec: Exec;
  files: Pick<Files, 'read' | 'write' | 'remove' | 'makeDir'>;
  /** A private folder in memory. */
  dir: string;
}>;

/** Loads the contents of a boot image. `kexecs`: the number of consecutive kexec starts, this one included. On failure, nothing stays loaded. */
export async function loadKernel(world: KexecWorld, uki: FileReader, kexecs: number): Promise<void> {
  const { exec, files, dir } = world;
  const parts = await kernelParts(uki);
  const [linux, initrd] = [join(dir, 'linux'), join(dir, 'initrd')];
  await files.makeDir(dir);
  try {
    await files.write(linux, sectionBytes(uki, parts.linux));
    await files.write(initrd, sectionBytes(uki, parts.initrd));
    await run(
      exec,
      'kexec',
      [
        ...['--kexec-file-syscall', '--load', linux],
        ...(parts.initrd.length > 0 ? [`--initrd=${initrd}`] : []),
        `--command-line=${parts.commandLine} ${KEXECS}=${kexecs}`,
      ],
      TOOL,
    );
  } catch (error) {
    await unloadKernel(world).catch(() => {});
    throw error;
  } finally {
    for (const path of [linux, initrd]) await files.remove(path);
  }
}

/** Unloads the kernel, if one is loaded. */
export async function unloadKernel({ exec, files }: Pick<KexecWorld, 'exec' | 'files'>): Promise<void> {
  const loaded = await files.read('/sys/kernel/kexec_loaded');
  if (loaded && new TextDecoder().decode(loaded).trim() !== '0')
    await run(exec, 'kexec', ['--kexec-file-syscall', '--unload'], TOOL);
}

/** Requests the shutdown and the start of the loaded kernel. Returns once systemd has agreed. */
export const rebootByKexec = (exec: Exec): Promise<void> => askToLeave(exec, 'kexec');

const TOOL = { timeoutMs: 120_000, package: 'kexec-tools' };
