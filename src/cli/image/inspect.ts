/** `updatectl image inspect`: what a disk, or an image of one, holds, and what it would start. */

import { resolve } from 'node:path';
import { asUpdateError, EXIT, UpdateError } from '../../errors.ts';
import { openBlockTarget } from '../../system/disk/block-device.ts';
import type { DiskTarget } from '../../system/disk/block-target.ts';
import { createScratch, type Scratch } from '../../system/disk/scratch.ts';
import { readHead, statOf } from '../../system/files.ts';
import { type Exec, run } from '../../system/process/exec.ts';
import type { Command, Context } from '../command.ts';
import { showDisk } from './inspect-text.ts';
import { inspectDisk } from './inspected-disk.ts';
import { diskTools } from './tools.ts';

export const imageInspect: Command = {
  name: 'image inspect',
  summary: 'show the partitions, slots, boot entries and settings on a disk or disk image',
  description:
    'Reads only, and mounts nothing. Without --verify, only the top of each verity tree is compared with the root hash. ' +
    `Exits with status ${EXIT.disk} if a slot does not match its root hash. A qcow2 image is converted to a temporary file first.`,
  examples: ['updatectl image inspect disk.img', 'sudo updatectl image inspect /dev/sdb --verify'],
  arguments: [{ name: '<disk>', summary: 'an image, or a disk such as /dev/sdb' }],
  options: [{ flags: '--verify', summary: 'read both slots, and compare every block' }],
  run: async (context, input) => {
    const path = resolve(context.cwd(), input.argument(0));
    await using scratch = await createScratch(resolve(context.env('TMPDIR') ?? '/var/tmp', 'disk'));
    const exec = diskTools(context, { cwd: scratch.path('.') });
    await using disk = await openDisk(await rawImage(context, exec, scratch, path));
    using bar = context.out.progress('verifying');
    const isVerifying = input.flag('verify');
    const told = (slot: string, done: number, size: number) => bar.update(done, size, `verifying slot ${slot}`);
    const found = await inspectDisk(disk, { ...context, exec, scratch, told, isVerifying });
    showDisk(context.out, path, found);
    context.out.document({ schema: 1, disk: path, ...found });
    return [found.slots.a, found.slots.b].some((slot) => slot?.check === 'mismatch') ? EXIT.disk : EXIT.ok;
  },
};

/** The path of the raw disk. Programs find it as `disk` in the folder of `scratch`: some signs in a path would mislead them. */
async function rawImage({ signal }: Context, exec: Exec, scratch: Scratch, path: string): Promise<string> {
  const stat = await statOf(path);
  if (!stat) throw new UpdateError('file-absent', `${path} does not exist.`);
  if (!stat.isFile() && !stat.isBlockDevice())
    throw new UpdateError('file-unsuitable', `${path} is neither a file nor a disk.`);
  if (!isQcow2((await readHead(path, QCOW2.length)) ?? new Uint8Array())) {
    await scratch.link('disk', path);
    return path;
  }
  await scratch.link('disk.qcow2', path);
  await refuseLinked(exec, path, signal);
  await run(exec, 'qemu-img', ['convert', '-q', '-f', 'qcow2', '-O', 'raw', 'disk.qcow2', 'disk'], { signal });
  return scratch.path('disk');
}

/** A foreign image could name any file of this machine, or an address, as a part of itself. */
async function refuseLinked(exec: Exec, path: string, signal: AbortSignal): Promise<void> {
  const said = await run(exec, 'qemu-img', ['info', '--output=json', '-f', 'qcow2', 'disk.qcow2'], { signal });
  const info = JSON.parse(said) as Readonly<Record<string, unknown>>;
  if (!('backing-filename' in info) && !said.includes('"data-file"')) return;
  const message = `${path} needs another file. If you trust it, join them with \`qemu-img convert -O raw\`.`;
  throw new UpdateError('file-unsuitable', message);
}

const QCOW2 = [0x51, 0x46, 0x49, 0xfb];
const isQcow2 = (head: Uint8Array): boolean => QCOW2.every((byte, at) => head[at] === byte);

/** Usually a partition of a slot is opened, for writing; here it is a whole disk, for reading. */
const openDisk = (path: string): Promise<DiskTarget> =>
  openBlockTarget(path, { writable: false, exclusive: false, range: { offset: 0 } }).catch((error: unknown) => {
    const { code } = asUpdateError(error);
    if (code !== 'slot-read-only') throw error;
    throw new UpdateError('file-denied', `${path}: this user has no permission to read it.`, { cause: error });
  });
