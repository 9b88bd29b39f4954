/** Makes tiny PE files with given sections, as a UKI has them. */

const HEAD = 512;

/** A PE file whose sections hold these bytes, each padded to 512 as linkers do. */
export function peFile(sections: readonly (readonly [name: string, content: string | Uint8Array])[]): Uint8Array {
  const parts = sections.map(([name, content]) => ({ name, bytes: Buffer.from(content as string) }));
  const file = Buffer.alloc(HEAD + parts.reduce((sum, part) => sum + padded(part.bytes.length), 0) + 40 * parts.length);
  file.write('MZ');
  file.writeUInt32LE(64, 0x3c);
  file.write('PE\0\0', 64, 'latin1');
  file.writeUInt16LE(0x8664, 68);
  file.writeUInt16LE(parts.length, 70);
  file.writeUInt16LE(0, 84);
  let offset = padded(88 + 40 * parts.length);
  parts.forEach((part, index) => {
    const at = 88 + 40 * index;
    file.write(part.name, at, 8, 'latin1');
    file.writeUInt32LE(part.bytes.length, at + 8);
    file.writeUInt32LE(padded(part.bytes.length), at + 16);
    file.writeUInt32LE(offset, at + 20);
    part.bytes.copy(file, offset);
    offset += padded(part.bytes.length);
  });
  return new Uint8Array(file.subarray(0, offset));
}

const padded = (size: number): number => Math.ceil(size / 512) * 512;
