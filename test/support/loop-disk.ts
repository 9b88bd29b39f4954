/** A real disk for tests: a sparse file behind a loop device, partitioned by sfdisk. Needs root. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type LoopDisk = Disposable &
  Readonly<{ path: string; image: string; dir: string; part(number: number): string }>;

export const LABELS = ['esp', 'root-a', 'root-a-verity', 'root-b', 'root-b-verity'];
export const MIB = 1024 * 1024;

/** Runs a program; its output. */
export const sh = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** What a test that was ended from outside has not released. */
const held = new Set<() => void>();
process.once('exit', () => {
  for (const release of held) release();
});

/** Partitions of 8 MiB, from 1. The kernel is told of them one by one, since not every kernel reads a GPT. */
export function loopDisk(sectorSize = 512, labels: readonly string[] = LABELS): LoopDisk {
  assert.equal(process.getuid?.(), 0, 'the tests with loop devices need root');
  const dir = mkdtempSync(join(tmpdir(), 'tandem-loop-'));
  const image = join(dir, 'disk.img');
  writeFileSync(image, '');
  truncateSync(image, 64 * MIB);
  const path = sh('losetup', '--find', '--show', '--sector-size', String(sectorSize), image).trim();
  const release = (): void => {
    if (sh('losetup', '--list', '--noheadings', '--output', 'NAME').split('\n').includes(path)) {
      tolerate('partx', '--delete', path);
      sh('losetup', '--detach', path);
    }
    rmSync(dir, { recursive: true, force: true });
    held.delete(release);
  };
  held.add(release);
  try {
    partition(path, labels);
  } catch (error) {
    release();
    throw error;
  }
  return { path, image, dir, part: (number) => `${path}p${number}`, [Symbol.dispose]: release };
}

/** A range of a regular file with the same partitions. */
export function partition(path: string, labels: readonly string[] = LABELS): void {
  const lines = labels.map((label) => `size=8MiB, name="${label}"`);
  execFileSync('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', path], {
    input: ['label: gpt', ...lines, ''].join('\n'),
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  if (path.startsWith('/dev/')) sh('partx', '--add', path);
}

function tolerate(program: string, ...args: string[]): void {
  try {
    sh(program, ...args);
  } catch {
    // There may be no partitions to remove.
  }
}
