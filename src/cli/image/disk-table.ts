/** The partition table of a new disk, written by sfdisk and read again by the code that the agent uses. */

import type { Architecture } from '../../bundle/manifest.ts';
import { derivedUuid } from '../../bundle/verity.ts';
import { UpdateError } from '../../errors.ts';
import type { Sha256 } from '../../model.ts';
import { dashed } from '../../partitions/guid.ts';
import { readTable } from '../../partitions/partition-table.ts';
import { neutralUuid, uuidsOfRootHash } from '../../partitions/uuids.ts';
import type { BlockTarget } from '../../system/disk/block-target.ts';
import { type Exec, run } from '../../system/process/exec.ts';
import type { DiskLayout, Part } from './disk-layout.ts';
import { partitionType } from './partition-types.ts';

/** Decides every UUID of a disk: the same release gives the same. */
export type DiskIdentity = Readonly<{ manifest: Sha256; rootHash: Sha256; architecture: Architecture }>;

export type TableEntry = Part & Readonly<{ type: string; uuid: string }>;
export type DiskTable = Readonly<{ guid: string; entries: readonly TableEntry[] }>;

/** Slot a has the UUIDs of its root hash, slot b those that the agent gives to a slot which must not be found. */
export function tableOf({ parts }: DiskLayout, identity: DiskIdentity): DiskTable {
  const guid = identityUuid(identity, 'disk');
  const uuids = uuidsOfRootHash(identity.rootHash);
  const uuidOf = ({ slot, kind, label }: Part): string => {
    if (slot === 'b') return neutralUuid(guid, label);
    return kind === 'root' || kind === 'verity' ? uuids[kind] : identityUuid(identity, label);
  };
  const entries = parts.map((part) => ({
    ...part,
    type: partitionType(part.kind, identity.architecture),
    uuid: uuidOf(part),
  }));
  return { guid, entries };
}

/** A UUID for something on the disks of a release. */
export const identityUuid = ({ manifest }: Pick<DiskIdentity, 'manifest'>, name: string): string =>
  dashed(Buffer.from(derivedUuid(`tandem image ${manifest} ${name}`)).toString('hex'));

/** Writes the table to `path`, with its second copy at the end of the disk. */
export async function writeTable(
  path: string,
  { sectorSize }: DiskLayout,
  { guid, entries }: DiskTable,
  { exec, signal }: Readonly<{ exec: Exec; signal: AbortSignal }>,
): Promise<void> {
  const lines = entries.map(
    ({ offset, size, type, uuid, label }) =>
      `start=${offset / sectorSize}, size=${size / sectorSize}, type=${type}, uuid=${uuid}, name="${label}"`,
  );
  const script = [`label: gpt`, `label-id: ${guid}`, 'unit: sectors', ...lines, ''].join('\n');
  const quiet = ['--quiet', '--no-reread', '--no-tell-kernel', '--wipe', 'never', '--wipe-partitions', 'never'];
  await run(exec, 'sfdisk', [...quiet, path], { signal, input: new TextEncoder().encode(script) });
}

/** Throws unless the disk has exactly this table. */
export async function checkTable(disk: BlockTarget, layout: DiskLayout, wanted: DiskTable): Promise<void> {
  const found = await readTable(disk, [layout.sectorSize]);
  const line = ({ label, offset, size, type, uuid }: Omit<TableEntry, 'kind' | 'slot'>): string =>
    [label, offset, size, type, uuid].join(' ');
  const isSame =
    found.diskGuid === wanted.guid && found.entries.map(line).join('\n') === wanted.entries.map(line).join('\n');
  if (!isSame)
    throw new UpdateError('read-back-mismatch', `The partition table of ${disk.name} is not the one written.`);
}
