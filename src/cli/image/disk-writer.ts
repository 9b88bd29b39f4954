/** Writes a disk: slots from a bundle, the EFI system partition, /var, and at last the table that makes them partitions. */

import { createHash } from 'node:crypto';
import type { DecodePool } from '../../bundle/decode/pool.ts';
import { auditBundle } from '../../bundle/publish/audit.ts';
import type { Bundle } from '../../bundle/reader.ts';
import { UpdateError } from '../../errors.ts';
import type { Role } from '../../model.ts';
import { readBack } from '../../partitions/read-back.ts';
import { openBlockTarget } from '../../system/disk/block-device.ts';
import type { BlockTarget } from '../../system/disk/block-target.ts';
import { fileSource } from '../../system/disk/file-source.ts';
import type { Scratch, ScratchFile } from '../../system/disk/scratch.ts';
import { type Exec, run } from '../../system/process/exec.ts';
import { type DiskLayout, MIB, type Part, partOf } from './disk-layout.ts';
import { checkTable, type DiskTable, writeTable } from './disk-table.ts';
import { makeEsp } from './esp-image.ts';
import type { EspFile } from './loader-layouts.ts';
import { makeVar, type VarFile } from './var-image.ts';

/** Everything that decides the bytes of a disk. */
export type DiskPlan = Readonly<{
  bundle: Bundle;
  layout: DiskLayout;
  table: DiskTable;
  /** The files of the ESP, given the path of the kernel image. */
  espFiles(uki: string): readonly EspFile[];
  varFiles: readonly VarFile[];
  volumeId: string;
  varUuid: string;
  epoch: number;
}>;

export type DiskTools = Readonly<{
  exec: Exec;
  scratch: Scratch;
  pool: DecodePool;
  signal: AbortSignal;
  /** Bytes done since the last call. */
  progress(step: string, bytes: number): void;
}>;

/** A sparse file of the disk's size, or the device with number `rdev`; `name` for programs, which some signs in a path would mislead. */
export type DiskPlace = Readonly<{ path: string; name: string; rdev?: string }>;

/** On a device, old content is overwritten and everything is read back. */
export async function writeDisk(to: DiskPlace, plan: DiskPlan, tools: DiskTools): Promise<void> {
  await writeContent(to, plan, tools);
  await writeVar(to, plan, tools);
  await writeTable(to.name, plan.layout, plan.table, tools);
  await using disk = await openDisk(to, false);
  await disk.flush();
  await checkTable(disk, plan.layout, plan.table);
}

const openDisk = ({ path, rdev }: DiskPlace, exclusive: boolean): Promise<BlockTarget> =>
  openBlockTarget(path, {
    writable: true,
    exclusive,
    ...(rdev === undefined ? { range: { offset: 0 } } : { expect: { rdev } }),
  });

async function writeContent(to: DiskPlace, plan: DiskPlan, tools: DiskTools): Promise<void> {
  const isDevice = to.rdev !== undefined;
  await using target = await openDisk(to, isDevice);
  if (isDevice) await wipe(target, plan.layout);
  const written = await writeParts(isDevice ? target.write : sparsely(target), plan, tools);
  await target.flush();
  if (isDevice) for (const [part, digest] of written) await readPart(target, part, digest, tools);
}

/** The sum of the sizes that `progress` receives. */
export function workOf({ bundle, layout }: DiskPlan, isDevice: boolean): number {
  const sizes = bundle.manifest.images.map(({ role, size }) => (isDevice && role !== 'uki' ? 2 * size : size));
  const esp = required(layout, 'esp').size;
  return sizes.reduce((sum, size) => sum + size, isDevice ? 2 * esp : esp);
}

/**
 * First both copies of an old table: without one nothing can be started, whenever the power fails. Then what marks old file systems, volumes
 * and RAID members, at the edges of the slots.
 */
async function wipe(target: BlockTarget, { parts }: DiskLayout): Promise<void> {
  const nothing = new Uint8Array(MIB);
  await target.write(0, nothing);
  await target.write(target.size - MIB, nothing);
  await target.flush();
  for (const { offset, size } of parts.filter(({ slot }) => slot !== undefined)) {
    await target.write(offset, nothing);
    await target.write(offset + size - MIB, nothing);
  }
}

type Written = ReadonlyMap<Part, string>;

async function writeParts(write: Write, plan: DiskPlan, tools: DiskTools): Promise<Written> {
  const digests = new Map<Part, string>();
  const uki = await writeSlot(write, plan, tools, digests);
  const esp = required(plan.layout, 'esp');
  const image = await makeEsp(plan.espFiles(uki), { ...tools, ...plan, ...plan.layout, size: esp.size });
  const digest = createHash('sha256');
  await using source = await fileSource(image);
  let offset = esp.offset;
  for await (const bytes of source.open(0, tools.signal)) {
    digest.update(bytes);
    await write(offset, bytes);
    offset += bytes.length;
    tools.progress('writing', bytes.length);
  }
  return digests.set(esp, digest.digest('hex'));
}

type Write = (offset: number, bytes: Uint8Array) => Promise<void>;

/** Slot a, verified on the way; returns the path of the kernel image. */
async function writeSlot(
  write: Write,
  { bundle, layout }: DiskPlan,
  { pool, scratch, signal, progress }: DiskTools,
  digests: Map<Part, string>,
): Promise<string> {
  const uki = await scratch.create(KERNEL);
  const parts: Readonly<Record<Role, Part | ScratchFile | undefined>> = {
    root: required(layout, 'root'),
    verity: partOf(layout, 'verity'),
    uki,
  };
  await auditBundle(bundle, {
    decode: pool.map,
    signal,
    progress: (bytes) => progress('writing', bytes),
    sink: async (role, offset, bytes) => {
      const place = parts[role];
      if (place === undefined) throw new RangeError(`there is no place for the ${role} image`);
      if ('write' in place) await place.write(offset, bytes);
      else await write(place.offset + offset, bytes);
    },
  });
  for (const { role, size, sha256 } of bundle.manifest.images) {
    const part = parts[role];
    if (part && !('write' in part)) digests.set({ ...part, size }, sha256);
  }
  return scratch.path(KERNEL);
}

const KERNEL = 'kernel.efi';

/** Leaves zeros out: a new file has them already. */
function sparsely(target: BlockTarget): Write {
  return async (offset, bytes) => {
    for (let at = 0; at < bytes.length; at += PIECE) {
      const piece = bytes.subarray(at, at + PIECE);
      if (Buffer.compare(piece, ZEROS.subarray(0, piece.length)) !== 0) await target.write(offset + at, piece);
    }
  };
}

const PIECE = 64 * 1024;
const ZEROS = new Uint8Array(PIECE);

async function readPart(target: BlockTarget, part: Part, wanted: string, tools: DiskTools): Promise<void> {
  const digest = createHash('sha256');
  const { offset, size, label } = part;
  await using range = await openBlockTarget(target.name, {
    writable: false,
    exclusive: false,
    range: { offset, size },
  });
  const judge = (bytes: Uint8Array): void => {
    digest.update(bytes);
    tools.progress('reading back', bytes.length);
  };
  await readBack(range, size, judge, { signal: tools.signal });
  if (digest.digest('hex') !== wanted)
    throw new UpdateError('read-back-mismatch', `${target.name} does not return what was written for ${label}.`);
}

async function writeVar({ name, rdev }: DiskPlace, plan: DiskPlan, tools: DiskTools): Promise<void> {
  const part = partOf(plan.layout, 'var');
  if (!part) return;
  await makeVar(name, plan.varFiles, { ...tools, ...plan, ...part, uuid: plan.varUuid });
  if (rdev === undefined) return;
  // From the medium, not from memory.
  await run(tools.exec, 'blockdev', ['--flushbufs', name], { signal: tools.signal });
  await run(tools.exec, 'e2fsck', ['-fn', `${name}?offset=${part.offset}`], { signal: tools.signal });
}

function required(layout: DiskLayout, kind: 'esp' | 'root'): Part {
  const part = partOf(layout, kind);
  if (!part) throw new RangeError(`the layout has no partition for ${kind}`);
  return part;
}
