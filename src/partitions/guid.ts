/** GUIDs as stored in a partition table: the first three groups are little-endian. */

/** The GUID at `offset`, as 36 lower-case characters. */
export function readGuid(bytes: Uint8Array, offset: number): string {
  const hex = Buffer.from(ORDER.map((index) => bytes[offset + index] ?? 0)).toString('hex');
  return dashed(hex);
}

export function writeGuid(bytes: Uint8Array, offset: number, guid: string): void {
  const plain = Buffer.from(guid.replaceAll('-', ''), 'hex');
  if (!GUID_PATTERN.test(guid)) throw new RangeError(`${guid} is not a GUID`);
  for (const [position, index] of ORDER.entries()) bytes[offset + index] = plain[position] ?? 0;
}

/** 32 hex digits with dashes. */
export const dashed = (hex: string): string =>
  [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');

const GUID_PATTERN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
