/** Where each partition of a new disk is: sizes by rule or as given, in whole mebibytes. Pure. */

import { BLOCK, treeLayout } from '../../bundle/verity.ts';
import { SLOT_NAMES, type SlotName } from '../../model.ts';
import type { SlotLabels } from '../../partitions/slots.ts';
import type { PartKind } from './partition-types.ts';

export const MIB = 1024 * 1024;

/** A partition of a new disk; `slot` for those of a slot. */
export type Part = Readonly<{ label: string; kind: PartKind; slot?: SlotName; offset: number; size: number }>;

/** `size` includes the first and the last mebibyte, which hold the two copies of the partition table. */
export type DiskLayout = Readonly<{ sectorSize: number; parts: readonly Part[]; size: number }>;

/** What has to fit. Without `verity`, the tree is in the root image. */
export type Contents = Readonly<{ root: number; verity?: number; uki: number; loader: number }>;

/** The labels by which the agent finds the slots. */
export type SlotLabelsOf = Readonly<Record<SlotName, SlotLabels>>;

/** Sizes in bytes as given on the command line. `hasVar: false`: no partition for /var. */
export type GivenSizes = Readonly<{
  esp?: number | undefined;
  root?: number | undefined;
  verity?: number | undefined;
  var?: number | undefined;
  hasVar: boolean;
}>;

/** The layout, and every reason why it cannot be used. */
export function layOut(
  contents: Contents,
  given: GivenSizes,
  labels: SlotLabelsOf,
  sectorSize = 512,
): Readonly<{ layout: DiskLayout; faults: readonly string[] }> {
  const sizes = sizesFor(contents, given, sectorSize);
  const planned = plannedParts(sizes, labels);
  const parts: Part[] = [];
  for (const part of planned) parts.push({ ...part, offset: endOf(parts) });
  const faults = [...faultsOf(contents, sizes, sectorSize), ...labelFaults(parts)];
  return { layout: { sectorSize, parts, size: endOf(parts) + MIB }, faults };
}

/** The partition of a kind; of those of slots, that of slot a. */
export const partOf = ({ parts }: DiskLayout, kind: PartKind): Part | undefined =>
  parts.find((part) => part.kind === kind && part.slot !== 'b');

type Sizes = Readonly<{ esp: number; root: number; verity?: number; var?: number }>;

function sizesFor(contents: Contents, given: GivenSizes, sectorSize: number): Sizes {
  const root = whole(given.root ?? contents.root * HEAD_ROOM);
  const tree = treeLayout(Math.max(1, Math.floor(root / BLOCK))).size;
  return {
    esp: whole(
      given.esp ?? Math.max(USUAL_ESP[sectorSize] ?? 0, KERNELS * HEAD_ROOM * contents.uki + contents.loader + FAT),
    ),
    root,
    ...(contents.verity === undefined ? {} : { verity: whole(given.verity ?? tree) }),
    ...(given.hasVar ? { var: whole(given.var ?? USUAL_VAR) } : {}),
  };
}

/** A later release may be half as large again. */
const HEAD_ROOM = 1.5;
/** The kernels of both slots, and a third that is under assembly. */
const KERNELS = 3;
/** Both copies of the table of clusters, folders, and the boot loader's own files. */
const FAT = 8 * MIB;
/** FAT32 needs 65,525 clusters of at least one sector. */
const SMALLEST_ESP: Readonly<Record<number, number>> = { 512: 34 * MIB, 4096: 260 * MIB };
const USUAL_ESP: Readonly<Record<number, number>> = { 512: 64 * MIB, 4096: 300 * MIB };
const USUAL_VAR = 1024 * MIB;
/** With a journal. */
const SMALLEST_VAR = 32 * MIB;
/** FAT32 could be larger, but all of it is copied. */
const LARGEST_ESP = 32 * 1024 * MIB;
/** More than any file system here takes in 32-bit block numbers. */
const LARGEST = 16 * 1024 * 1024 * MIB - MIB;

const whole = (size: number): number => Math.ceil(size / MIB) * MIB;

const endOf = (parts: readonly Part[]): number => {
  const last = parts.at(-1);
  return last ? last.offset + last.size : MIB;
};

function plannedParts(sizes: Sizes, labels: SlotLabelsOf): readonly Omit<Part, 'offset'>[] {
  const slot = (name: SlotName): Omit<Part, 'offset'>[] => {
    const { root, verity } = labels[name];
    const tree = { label: verity ?? '', kind: 'verity' as const, slot: name, size: sizes.verity ?? 0 };
    return [{ label: root, kind: 'root', slot: name, size: sizes.root }, ...(sizes.verity === undefined ? [] : [tree])];
  };
  return [
    { label: 'esp', kind: 'esp', size: sizes.esp },
    ...SLOT_NAMES.flatMap(slot),
    ...(sizes.var === undefined ? [] : [{ label: 'var', kind: 'var' as const, size: sizes.var }]),
  ];
}

function faultsOf(contents: Contents, sizes: Sizes, sectorSize: number): string[] {
  const least = SMALLEST_ESP[sectorSize];
  const kernels = 2 * contents.uki + contents.loader + MIB;
  return [
    ...small('--root-size', sizes.root, contents.root, 'the root image has'),
    ...small('--verity-size', sizes.verity, contents.verity ?? 0, 'the verity tree has'),
    ...(least === undefined
      ? [`sectors of ${sectorSize} bytes are not supported`]
      : small('--esp-size', sizes.esp, least, 'FAT32 needs')),
    ...small('--esp-size', sizes.esp, kernels, 'two kernels and the boot loader need'),
    ...small('--var-size', sizes.var, SMALLEST_VAR, 'a file system with a journal needs'),
    ...Object.entries(sizes).flatMap(([name, size]) => {
      const most = name === 'esp' ? LARGEST_ESP : LARGEST;
      return size <= most ? [] : [`--${name}-size is ${size} bytes; at most ${most} are possible`];
    }),
  ];
}

/** The agent finds partitions by label; quotes and backslashes have a meaning for sfdisk. */
function labelFaults(parts: readonly Part[]): string[] {
  const labels = parts.map(({ label }) => label);
  return [
    ...labels
      .filter((label, index) => labels.indexOf(label) !== index)
      .map((label) => `two partitions would be labelled “${label}”: see slots in the configuration`),
    ...labels.filter((label) => !/^[^"\\]+$/.test(label)).map((label) => `“${label}” cannot be a label`),
  ];
}

const small = (option: string, size: number | undefined, needed: number, why: string): string[] =>
  size === undefined || size >= needed ? [] : [`${option} is ${size} bytes, but ${why} ${needed}`];
