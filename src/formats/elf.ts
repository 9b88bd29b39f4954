/** Reads what the dynamic linker needs to know of an ELF file: architecture, interpreter, libraries, and versions of symbols. Executes nothing. */

/** Reads bytes of a file; fewer at its end. */
export type ReadAt = (offset: number, length: number) => Promise<Uint8Array>;

export type ElfFile = Readonly<{
  /** `other`: an architecture that Tandem does not support. */
  machine: 'x86-64' | 'arm64' | 'other';
  /** The program that loads it; absent in libraries and static programs. */
  interpreter?: string;
  /** Names of libraries, in order. */
  needed: readonly string[];
  /** Folders to search before the system's. */
  searched: readonly string[];
  /** The versions of symbols that it needs, by library. */
  requires: ReadonlyMap<string, readonly string[]>;
  /** The versions of symbols that it has. */
  provides: readonly string[];
}>;

/** Undefined if the file is not ELF; throws a TypeError if it is damaged. */
export async function readElf(readAt: ReadAt): Promise<ElfFile | undefined> {
  const read = exactly(readAt);
  const head = await readAt(0, HEADER);
  if (head.length < 20 || viewOf(head).getUint32(0) !== MAGIC) return undefined;
  const machine = MACHINES[viewOf(head).getUint16(18, true)];
  // Both architectures have 64 bits and put the low byte first; of others, only that they are others matters.
  if (machine === undefined || head[4] !== CLASS_64 || head[5] !== LITTLE_ENDIAN)
    return { ...NOTHING, machine: 'other' };
  const segments = await segmentsOf(read, viewOf(await read(0, HEADER)));
  const interpreter = segments.find(({ type }) => type === PT_INTERP);
  const tags = await dynamicTags(read, segments);
  const place = (tag: number): number | undefined => placeOf(segments, firstOf(tags, tag));
  const strings = place(DT_STRTAB);
  const name = async (offset: number): Promise<string> =>
    strings === undefined ? bad('it has no table of names') : textAt(readAt, strings + offset);
  const names = (tag: number): Promise<string[]> => Promise.all((tags.get(tag) ?? []).map(name));
  const [runPath, path] = [await names(DT_RUNPATH), await names(DT_RPATH)];
  return {
    machine,
    ...(interpreter ? { interpreter: await textAt(readAt, interpreter.offset) } : {}),
    needed: await names(DT_NEEDED),
    searched: (runPath.length > 0 ? runPath : path).flatMap((one) => one.split(':')).filter((one) => one !== ''),
    requires: await requiredVersions(read, place(DT_VERNEED), countOf(tags, DT_VERNEEDNUM), name),
    provides: await providedVersions(read, place(DT_VERDEF), countOf(tags, DT_VERDEFNUM), name),
  };
}

const NOTHING = { needed: [], searched: [], requires: new Map(), provides: [] };

const MAGIC = 0x7f454c46;
const HEADER = 64;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const MACHINES: Readonly<Record<number, 'x86-64' | 'arm64'>> = { 62: 'x86-64', 183: 'arm64' };

const SEGMENT = 56;
const MOST_SEGMENTS = 1024;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;

const MOST_TAGS = 4096;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_RPATH = 15;
const DT_RUNPATH = 29;
const DT_VERDEF = 0x6ffffffc;
const DT_VERDEFNUM = 0x6ffffffd;
const DT_VERNEED = 0x6ffffffe;
const DT_VERNEEDNUM = 0x6fffffff;

const MOST_VERSIONS = 2048;
/** Missing versions of this kind are tolerated. */
const WEAK = 2;
const LONGEST_NAME = 4096;

type Segment = Readonly<{ type: number; offset: number; address: number; size: number }>;
type Tags = ReadonlyMap<number, readonly number[]>;

async function segmentsOf(read: ReadAt, header: DataView): Promise<Segment[]> {
  const [at, size, count] = [number(header, 32), header.getUint16(54, true), header.getUint16(56, true)];
  if (count === 0) return [];
  if (size !== SEGMENT || count > MOST_SEGMENTS) return bad('its program headers have an unknown form');
  const view = viewOf(await read(at, count * SEGMENT));
  return Array.from({ length: count }, (_, index) => {
    const from = index * SEGMENT;
    return {
      type: view.getUint32(from, true),
      offset: number(view, from + 8),
      address: number(view, from + 16),
      size: number(view, from + 32),
    };
  });
}

async function dynamicTags(read: ReadAt, segments: readonly Segment[]): Promise<Tags> {
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  const tags = new Map<number, number[]>();
  if (!dynamic) return tags;
  const count = Math.min(MOST_TAGS, Math.floor(dynamic.size / 16));
  const view = viewOf(await read(dynamic.offset, count * 16));
  for (let index = 0; index < count; index += 1) {
    const tag = view.getBigUint64(index * 16, true);
    if (tag === 0n) break;
    const value = number(view, index * 16 + 8);
    if (tag <= 0xffffffffn) tags.set(Number(tag), [...(tags.get(Number(tag)) ?? []), value]);
  }
  return tags;
}

const firstOf = (tags: Tags, tag: number): number | undefined => tags.get(tag)?.[0];

function countOf(tags: Tags, tag: number): number {
  const count = firstOf(tags, tag) ?? 0;
  return count <= MOST_VERSIONS ? count : bad(`it claims ${count} versions`);
}

/** The offset in the file of an address in memory. */
function placeOf(segments: readonly Segment[], address: number | undefined): number | undefined {
  if (address === undefined) return undefined;
  const home = segments.find(
    (one) => one.type === PT_LOAD && address >= one.address && address < one.address + one.size,
  );
  return home ? home.offset + address - home.address : bad('it points to an address outside of the file');
}

type NameOf = (offset: number) => Promise<string>;

/** A list of libraries, each with a list of versions: every entry says how far away the next one is. */
async function requiredVersions(
  read: ReadAt,
  start: number | undefined,
  count: number,
  name: NameOf,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, string[]>();
  let [at, left] = [start ?? 0, MOST_VERSIONS];
  for (let index = 0; start !== undefined && index < count; index += 1) {
    const entry = viewOf(await read(at, 16));
    const file = await name(entry.getUint32(4, true));
    const versions = await versionsAt(read, at + entry.getUint32(8, true), entry.getUint16(2, true), left, name);
    found.set(file, [...(found.get(file) ?? []), ...versions]);
    left -= versions.length + 1;
    const step = entry.getUint32(12, true);
    if (step === 0) break;
    at += step;
  }
  return found;
}

async function versionsAt(read: ReadAt, start: number, count: number, most: number, name: NameOf): Promise<string[]> {
  if (count > most) return bad(`it claims ${count} versions`);
  const found: string[] = [];
  let at = start;
  for (let index = 0; index < count; index += 1) {
    const entry = viewOf(await read(at, 16));
    if ((entry.getUint16(4, true) & WEAK) === 0) found.push(await name(entry.getUint32(8, true)));
    const step = entry.getUint32(12, true);
    if (step === 0) break;
    at += step;
  }
  return found;
}

async function providedVersions(
  read: ReadAt,
  start: number | undefined,
  count: number,
  name: NameOf,
): Promise<readonly string[]> {
  const found: string[] = [];
  let at = start ?? 0;
  for (let index = 0; start !== undefined && index < count; index += 1) {
    const entry = viewOf(await read(at, 20));
    // The first of its names; the others are those of versions that it follows.
    const first = viewOf(await read(at + entry.getUint32(12, true), 8));
    found.push(await name(first.getUint32(0, true)));
    const step = entry.getUint32(16, true);
    if (step === 0) break;
    at += step;
  }
  return found;
}

async function textAt(readAt: ReadAt, offset: number): Promise<string> {
  const bytes = await readAt(offset, LONGEST_NAME);
  const end = bytes.indexOf(0);
  return end < 0 ? bad('a name has no end') : new TextDecoder().decode(bytes.subarray(0, end));
}

const exactly =
  (readAt: ReadAt): ReadAt =>
  async (offset, length) => {
    const bytes = await readAt(offset, length);
    return bytes.length === length ? bytes : bad('it is cut off');
  };

/** Offsets that no file reaches become one that no file reaches either. */
const number = (view: DataView, at: number): number => Number(BigInt.asUintN(53, view.getBigUint64(at, true)));

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function bad(what: string): never {
  throw new TypeError(`The ELF file is damaged: ${what}.`);
}
