/** An EFI boot option (`Boot####`): a description, and the device path of the program to start. Pure. */

/** `partition`: the GPT identity of the file's partition; `device`: the device path nodes before the file. */
export type BootOption = Readonly<{
  active: boolean;
  description: string;
  partition: string | undefined;
  file: string | undefined;
  device: Uint8Array;
}>;

/** Undefined for bytes that are not a boot option, or whose path we cannot follow. */
export function parseBootOption(bytes: Uint8Array): BootOption | undefined {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (data.length < HEADER || data.length > MOST_BYTES) return undefined;
  const description = textAt(data, HEADER, data.length);
  const start = description && HEADER + description.size;
  if (start === undefined || start + data.readUInt16LE(4) > data.length) return undefined;
  const nodes = nodesOf(data.subarray(start, start + data.readUInt16LE(4)));
  if (!nodes) return undefined;
  const first = nodes.findIndex(isFile);
  const [before, files] = first < 0 ? [nodes, []] : [nodes.slice(0, first), nodes.slice(first)];
  return {
    active: (data.readUInt32LE(0) & ACTIVE) !== 0,
    description: description?.text ?? '',
    partition: before.map(partitionOf).findLast((one) => one !== undefined),
    file: files.length > 0 && files.every(isFile) ? pathOf(files) : undefined,
    device: Buffer.concat(before),
  };
}

/** The extent of a GPT partition, in sectors; `guid` is its identity as stored in the table. */
export type PartitionPlace = Readonly<{ number: number; firstSector: number; sectors: number; guid: Uint8Array }>;

/** The device path of a partition, independent of its disk. */
export function partitionPath({ number, firstSector, sectors, guid }: PartitionPlace): Uint8Array {
  const content = Buffer.alloc(PARTITION - NODE);
  content.writeUInt32LE(number, 0);
  content.writeBigUInt64LE(BigInt(firstSector), 4);
  content.writeBigUInt64LE(BigInt(sectors), 12);
  content.set(guid, 20);
  content.set([GPT, GPT], 36);
  return node(MEDIA, HARD_DRIVE, content);
}

/** Formats an active option that starts `file`, a path with backslashes. */
export function formatBootOption(description: string, device: Uint8Array, file: string): Uint8Array {
  const name = Buffer.from(`${file}\0`, 'utf16le');
  const path = Buffer.concat([device, node(MEDIA, FILE_PATH, name), node(END, END_ENTIRE, Buffer.alloc(0))]);
  const head = Buffer.alloc(HEADER);
  head.writeUInt32LE(ACTIVE, 0);
  head.writeUInt16LE(path.length, 4);
  return Buffer.concat([head, Buffer.from(`${description}\0`, 'utf16le'), path]);
}

/** The option with its active bit set. */
export function activated(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.from(bytes);
  copy.writeUInt32LE((copy.readUInt32LE(0) | ACTIVE) >>> 0, 0);
  return copy;
}

/** Whether both options start the same file. FAT is case-insensitive. */
export const isSameFile = (one: string, other: string): boolean => plain(one) === plain(other);

// UEFI specification: EFI_LOAD_OPTION, and the device path nodes of type 4 (media) and 0x7f (end).
const HEADER = 6;
const MOST_BYTES = 64 * 1024;
const ACTIVE = 1;
const MEDIA = 4;
const HARD_DRIVE = 1;
const FILE_PATH = 4;
const END = 0x7f;
const END_ENTIRE = 0xff;
const NODE = 4;
const PARTITION = 42;
// Table format GPT, and signature type GUID.
const GPT = 2;

/** The nodes before the end of the path, with their headers. */
function nodesOf(path: Buffer): Buffer[] | undefined {
  const nodes: Buffer[] = [];
  for (let at = 0; at + NODE <= path.length; ) {
    const length = path.readUInt16LE(at + 2);
    if (length < NODE || at + length > path.length) return undefined;
    if (path[at] === END) return path[at + 1] === END_ENTIRE ? nodes : undefined;
    nodes.push(path.subarray(at, at + length));
    at += length;
  }
  return undefined;
}

const isFile = (one: Buffer): boolean => one[0] === MEDIA && one[1] === FILE_PATH;

/** The path may be split over several nodes. */
function pathOf(files: readonly Buffer[]): string {
  return files.map((one) => textAt(one, NODE, one.length)?.text ?? '').join('\\');
}

/** The 16-byte identity of a GPT partition, in hexadecimal. */
function partitionOf(one: Buffer): string | undefined {
  const isPartition =
    one[0] === MEDIA && one[1] === HARD_DRIVE && one.length === PARTITION && one[40] === GPT && one[41] === GPT;
  return isPartition ? one.subarray(24, 40).toString('hex') : undefined;
}

/** UTF-16 text with a terminating zero, which `size` includes. */
function textAt(data: Buffer, from: number, to: number): Readonly<{ text: string; size: number }> | undefined {
  for (let at = from; at + 2 <= to; at += 2)
    if (data.readUInt16LE(at) === 0) return { text: data.toString('utf16le', from, at), size: at + 2 - from };
  return undefined;
}

function node(type: number, subtype: number, content: Buffer): Buffer {
  const head = Buffer.from([type, subtype, 0, 0]);
  head.writeUInt16LE(NODE + content.length, 2);
  return Buffer.concat([head, content]);
}

const plain = (path: string): string =>
  `\\${path
    .split(/[\\/]+/)
    .filter(Boolean)
    .join('\\')}`.toLowerCase();
