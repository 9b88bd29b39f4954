/** Finds out how guests can be run here by really starting one: a /dev/kvm that exists may still be of no use. */

import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';

export type Accelerator = 'kvm' | 'tcg';

const PROBE_MS = 8_000;

/** `kvm` when a stock kernel says its first words under it in time, else `tcg`, QEMU's own emulation. */
export async function findAccelerator(qemu: string, kernel: string): Promise<Accelerator> {
  const usable = await access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  return usable && (await startsKernel(qemu, kernel)) ? 'kvm' : 'tcg';
}

/** What QEMU is told for it; the emulation's settings are those that boot fastest and always (measured). */
export const acceleratorArguments = (accelerator: Accelerator): string[] =>
  accelerator === 'kvm'
    ? ['-accel', 'kvm', '-cpu', 'host']
    : ['-accel', 'tcg,thread=multi,tb-size=128', '-cpu', 'Nehalem,+sha-ni'];

function startsKernel(qemu: string, kernel: string): Promise<boolean> {
  const machine = ['-M', 'q35', '-m', '256', '-nodefaults', '-display', 'none', '-serial', 'stdio', '-no-reboot'];
  const boot = ['-kernel', kernel, '-append', 'console=ttyS0 panic=-1'];
  const child = spawn(qemu, [...acceleratorArguments('kvm'), ...machine, ...boot], {
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: PROBE_MS,
    killSignal: 'SIGKILL',
  });
  return new Promise((resolve) => {
    let said = '';
    child.stdout.on('data', (bytes: Buffer) => {
      said = (said + bytes.toString('latin1')).slice(-4096);
      if (!said.includes('Linux version')) return;
      resolve(true);
      child.kill('SIGKILL');
    });
    child.on('error', () => resolve(false));
    child.on('close', () => resolve(false));
  });
}
