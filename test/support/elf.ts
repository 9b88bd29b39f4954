/** Makes small ELF files, with what the dynamic linker reads and nothing else. */

export type ElfParts = Readonly<{
  machine?: number;
  interpreter?: string;
  needed?: readonly string[];
  runPath?: string;
  /** Versions of symbols, by library. */
  requires?: Readonly<Record<string, readonly string[]>>;
  provides?: readonly string[];
}>;

export const X86_64 = 62;
export const ARM64 = 183;

/** One segment holds the whole file, at address zero. */
export function elfFile(parts: ElfParts = {}): Buffer {
  const texts = textTable();
  const { interpreter, needed = [], runPath, requires = {}, provides = [] } = parts;
  const requirement = requirements(requires, texts.add);
  const provision = provisions(provides, texts.add);
  const entries: [tag: number, value: number][] = needed.map((name) => [1, texts.add(name)]);
  if (runPath !== undefined) entries.push([29, texts.add(runPath)]);
  const start = interpreter === undefined ? 0 : texts.add(interpreter);
  const [at, dynamicSize] = [64 + 3 * 56, (entries.length + 6) * 16];
  const requiresAt = at + dynamicSize;
  const providesAt = requiresAt + requirement.length;
  const textsAt = providesAt + provision.length;
  if (requirement.length > 0) entries.push([0x6ffffffe, requiresAt], [0x6fffffff, Object.keys(requires).length]);
  if (provision.length > 0) entries.push([0x6ffffffc, providesAt], [0x6ffffffd, provides.length]);
  entries.push([5, textsAt]);
  const dynamic = Buffer.alloc(dynamicSize);
  for (const [index, [tag, value]] of entries.entries()) {
    dynamic.writeBigUInt64LE(BigInt(tag), index * 16);
    dynamic.writeBigUInt64LE(BigInt(value), index * 16 + 8);
  }
  const size = textsAt + texts.bytes().length;
  const segments = [
    segment(1, 0, size),
    segment(2, at, dynamicSize),
    segment(interpreter === undefined ? 0 : 3, textsAt + start, 1),
  ];
  return Buffer.concat([
    header(parts.machine ?? X86_64, segments.length),
    ...segments,
    dynamic,
    requirement,
    provision,
    texts.bytes(),
  ]);
}

type Add = (text: string) => number;

function textTable() {
  let all = Buffer.from('\0');
  const add: Add = (text) => {
    const at = all.length;
    all = Buffer.concat([all, Buffer.from(`${text}\0`)]);
    return at;
  };
  return { add, bytes: () => all };
}

function header(machine: number, segments: number): Buffer {
  const bytes = Buffer.alloc(64);
  bytes.write('\x7fELF\x02\x01\x01', 'latin1');
  bytes.writeUInt16LE(3, 16);
  bytes.writeUInt16LE(machine, 18);
  bytes.writeBigUInt64LE(64n, 32);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(segments, 56);
  return bytes;
}

function segment(type: number, at: number, size: number): Buffer {
  const bytes = Buffer.alloc(56);
  bytes.writeUInt32LE(type, 0);
  bytes.writeBigUInt64LE(BigInt(at), 8);
  bytes.writeBigUInt64LE(BigInt(at), 16);
  bytes.writeBigUInt64LE(BigInt(size), 32);
  return bytes;
}

function requirements(requires: Readonly<Record<string, readonly string[]>>, add: Add): Buffer {
  const all = Object.entries(requires);
  return Buffer.concat(
    all.map(([library, versions], index) => {
      const bytes = Buffer.alloc(16 + versions.length * 16);
      bytes.writeUInt16LE(versions.length, 2);
      bytes.writeUInt32LE(add(library), 4);
      bytes.writeUInt32LE(16, 8);
      bytes.writeUInt32LE(index === all.length - 1 ? 0 : bytes.length, 12);
      for (const [step, version] of versions.entries()) {
        bytes.writeUInt32LE(add(version), 16 + step * 16 + 8);
        bytes.writeUInt32LE(step === versions.length - 1 ? 0 : 16, 16 + step * 16 + 12);
      }
      return bytes;
    }),
  );
}

function provisions(provides: readonly string[], add: Add): Buffer {
  return Buffer.concat(
    provides.map((version, index) => {
      const bytes = Buffer.alloc(28);
      bytes.writeUInt32LE(20, 12);
      bytes.writeUInt32LE(index === provides.length - 1 ? 0 : 28, 16);
      bytes.writeUInt32LE(add(version), 20);
      return bytes;
    }),
  );
}
