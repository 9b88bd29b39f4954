/** The disk of a host under measurement: a target slot on a loop device that bypasses the page cache. */

import { execFileSync, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';

export interface Slot extends Disposable {
  readonly device: string;
}

/** A preallocated file of that size as a block device; disposing detaches it. */
export function slot(file: string, bytes: number): Slot {
  const size = Math.ceil(bytes / MiB) * MiB;
  execFileSync('fallocate', ['-l', String(size), file]);
  const device = execFileSync('losetup', ['--direct-io=on', '--find', '--show', file]).toString().trim();
  return {
    device,
    [Symbol.dispose]: () => {
      spawnSync('losetup', ['-d', device]);
      rmSync(file, { force: true });
    },
  };
}

/** Makes sure that a method is not credited with what the one before it wrote. */
export function wipe(slot: Slot): void {
  execFileSync('blkdiscard', ['-f', '-z', slot.device], { stdio: 'ignore' });
}

/** Whether the slot begins with exactly this image. */
export function holds(slot: Slot, image: string, bytes: number): boolean {
  execFileSync('blockdev', ['--flushbufs', slot.device]);
  return spawnSync('cmp', ['-n', String(bytes), image, slot.device]).status === 0;
}

const MiB = 1024 * 1024;
