/** Partition types of the Discoverable Partitions Specification. */

import type { Architecture } from '../../bundle/manifest.ts';

/** What a partition of our disks is for. */
export type PartKind = 'esp' | 'root' | 'verity' | 'var';

/** The type of a partition, for an architecture. */
export function partitionType(kind: PartKind, architecture: Architecture): string {
  const { root, verity } = ROOT_TYPES[architecture];
  return { esp: ESP, root, verity, var: VAR }[kind];
}

/** The name of a partition type; undefined for types that our disks do not have. */
export const typeName = (type: string): string | undefined => NAMES.get(type);

const ESP = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';
const VAR = '4d21b016-b534-45c2-a9fb-5c16e091fd2d';

const ROOT_TYPES: Readonly<Record<Architecture, Readonly<{ root: string; verity: string }>>> = {
  'x86-64': { root: '4f68bce3-e8cd-4db1-96e7-fbcaf984b709', verity: '2c7357ed-ebd2-46d9-aec1-23d437ec2bf5' },
  arm64: { root: 'b921b045-1df0-41c3-af44-4c6f280d3fae', verity: 'df3300ce-d69f-4c92-978c-9bfb0f38d820' },
};

const NAMES: ReadonlyMap<string, string> = new Map([
  [ESP, 'EFI system partition'],
  [VAR, '/var'],
  ...Object.entries(ROOT_TYPES).flatMap(([architecture, { root, verity }]): [string, string][] => [
    [root, `root, ${architecture}`],
    [verity, `root verity, ${architecture}`],
  ]),
  ['5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6', 'root of ChromeOS and Flatcar'],
  ['0fc63daf-8483-4772-8e79-3d69d8477de4', 'Linux file system'],
  ['0657fd6d-a4ab-43c4-84e5-0933c84b4f4f', 'swap'],
  ['933ac7e1-2eb4-4f13-b844-0e14e2aef915', '/home'],
  ['3b8f8425-20e0-4f3b-907f-1a25a76f98e8', '/srv'],
  ['bc13c2ff-59e6-4262-a352-b275fd6f7172', 'extended boot loader partition'],
  ['21686148-6449-6e6f-744e-656564454649', 'BIOS boot'],
  ['ebd0a0a2-b9e5-4433-87c0-68b6b72699c7', 'basic data'],
]);
