/** A slot as it is on a disk: its root hash, whether its verity tree belongs to it, and the version in it. */

import { imageFiles } from '../../bundle/image/image-files.ts';
import { createTreeAudit } from '../../bundle/publish/tree-audit.ts';
import { parseSuperblock, type Superblock } from '../../bundle/superblock.ts';
import { BLOCK, blockDigests, treeLayout } from '../../bundle/verity.ts';
import { cleanLine } from '../../clean-text.ts';
import { asUpdateError } from '../../errors.ts';
import { osReleaseValue } from '../../formats/pe.ts';
import { type Sha256, SLOT_NAMES, type SlotName } from '../../model.ts';
import type { Gpt, GptEntry } from '../../partitions/gpt.ts';
import { readBack } from '../../partitions/read-back.ts';
import { neutralUuid, uuidsOfRootHash } from '../../partitions/uuids.ts';
import { openBlockTarget } from '../../system/disk/block-device.ts';
import type { BlockTarget, DiskTarget } from '../../system/disk/block-target.ts';
import type { Inspection } from './inspection.ts';
import { typeName } from './partition-types.ts';

/** The partitions of a slot; without `verity`, the tree is in the root partition. */
export type SlotEntries = Readonly<{ root: GptEntry; verity?: GptEntry }>;

export type SlotParts = Readonly<Partial<Record<SlotName, SlotEntries>>>;

/**
 * `neutral`: the UUIDs that nothing finds. `check`: `top` if only the top of the tree was compared with the root hash, `whole` if every block
 * was; `none` if there is nothing to compare.
 */
export type InspectedSlot = Readonly<{
  isNeutral: boolean;
  rootHash?: Sha256;
  version?: string;
  check: 'none' | 'top' | 'whole' | 'mismatch';
  /** Why it does not match. */
  reason?: string;
}>;

export type InspectedSlots = Readonly<{ a?: InspectedSlot; b?: InspectedSlot }>;

/** By the usual labels; otherwise the first two root partitions. */
export function slotPartitions(entries: readonly GptEntry[]): SlotParts {
  const roots = entries.filter(({ type }) => typeName(type)?.startsWith('root,'));
  const trees = entries.filter(({ type }) => typeName(type)?.startsWith('root verity,'));
  const found = SLOT_NAMES.flatMap((name, index) => {
    const labelled = (label: string): GptEntry | undefined => entries.find((entry) => entry.label === label);
    const byLabel = labelled(`root-${name}`);
    const root = byLabel ?? roots[index];
    const verity = byLabel ? labelled(`root-${name}-verity`) : trees[index];
    return root ? [[name, verity ? { root, verity } : { root }] as const] : [];
  });
  return Object.fromEntries(found);
}

export async function slotOf(
  disk: DiskTarget,
  table: Gpt,
  name: SlotName,
  { root, verity }: SlotEntries,
  inspection: Inspection,
): Promise<InspectedSlot> {
  const isNeutral = root.uuid === neutralUuid(table.diskGuid, root.label);
  const rootHash = isNeutral || !verity ? undefined : rootHashOf(root, verity);
  const version = await versionIn(disk, root).catch(() => undefined);
  const about = { isNeutral, ...(rootHash ? { rootHash } : {}), ...(version === undefined ? {} : { version }) };
  if (!rootHash || !verity) return { ...about, check: 'none' };
  try {
    await using tree = await rangeOf(disk, verity);
    await using data = await rangeOf(disk, root);
    const superblock = parseSuperblock(await tree.read(0, BLOCK), tree.name);
    checkSizes({ data, tree }, superblock);
    await checkTop(tree, superblock, rootHash);
    if (!inspection.isVerifying) return { ...about, check: 'top' };
    await checkWhole(name, { data, tree }, { ...superblock, rootHash }, inspection);
    return { ...about, check: 'whole' };
  } catch (error) {
    inspection.signal.throwIfAborted();
    return { ...about, check: 'mismatch', reason: asUpdateError(error).message };
  }
}

/** The two halves of it are the UUIDs. */
const rootHashOf = (root: GptEntry, verity: GptEntry): Sha256 =>
  `${root.uuid}${verity.uuid}`.replaceAll('-', '') as Sha256;

/** Whether a boot entry with this root hash finds the slot. */
export function isNamedBy(rootHash: Sha256, { root, verity }: SlotEntries): boolean {
  const uuids = uuidsOfRootHash(rootHash);
  return root.uuid === uuids.root && (verity === undefined || verity.uuid === uuids.verity);
}

/** A partition, as the disk has it. */
export const rangeOf = (disk: DiskTarget, { offset, size }: GptEntry): Promise<DiskTarget> =>
  openBlockTarget(disk.name, { writable: false, exclusive: false, range: { offset, size } });

async function versionIn(disk: DiskTarget, root: GptEntry): Promise<string | undefined> {
  await using data = await rangeOf(disk, root);
  const files = await imageFiles(async (offset, length) => Uint8Array.from(await data.read(offset, length)), data.size);
  const release = (await files?.read('/etc/os-release')) ?? (await files?.read('/usr/lib/os-release'));
  const text = new TextDecoder().decode(release);
  const version = osReleaseValue(text, 'IMAGE_VERSION') ?? osReleaseValue(text, 'VERSION_ID');
  return version === undefined ? undefined : cleanLine(version, LONGEST_VERSION);
}

const LONGEST_VERSION = 64;

type Pair = Readonly<{ data: BlockTarget; tree: BlockTarget }>;

function checkSizes({ data, tree }: Pair, { dataBlocks }: Superblock): void {
  if (dataBlocks * BLOCK > data.size || treeLayout(dataBlocks).size > tree.size)
    throw new RangeError(`the tree is of ${dataBlocks} blocks, more than the partition has`);
}

/** An image of a single block has no tree above it. */
async function checkTop(tree: BlockTarget, { salt, dataBlocks }: Superblock, rootHash: Sha256): Promise<void> {
  const top = treeLayout(dataBlocks).levels.at(-1);
  if (!top) return;
  const digest = blockDigests(Buffer.from(salt, 'hex'), await tree.read(top.offset, BLOCK));
  if (Buffer.from(digest).toString('hex') !== rootHash) throw new RangeError('the tree has another root hash');
}

async function checkWhole(
  name: SlotName,
  { data, tree }: Pair,
  verity: Superblock & Readonly<{ rootHash: Sha256 }>,
  { told, signal }: Inspection,
): Promise<void> {
  const audit = createTreeAudit({ ...verity, salt: verity.salt as Sha256 });
  const size = verity.dataBlocks * BLOCK;
  const judge = (bytes: Uint8Array, offset: number): void => {
    audit.addRoot(offset, bytes);
    told(name, offset + bytes.length, size);
  };
  await readBack(data, size, judge, { signal });
  audit.finishRoot();
  await readBack(tree, treeLayout(verity.dataBlocks).size, (bytes, offset) => audit.addTree(offset, bytes), { signal });
  audit.finish();
}
