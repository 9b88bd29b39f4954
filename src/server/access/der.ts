/** The ASN.1 values of a certificate, encoded as DER. Pure; encodes only. */

type Bytes = Uint8Array;

/** A value with its tag and length. */
export function tagged(tag: number, ...parts: readonly Bytes[]): Bytes {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag, ...lengthOf(content.length)]), content]);
}

export const sequence = (...parts: readonly Bytes[]): Bytes => tagged(0x30, ...parts);
export const set = (...parts: readonly Bytes[]): Bytes => tagged(0x31, ...parts);
export const octets = (bytes: Bytes): Bytes => tagged(0x04, bytes);
export const yes: Bytes = tagged(0x01, Buffer.from([0xff]));
export const utf8 = (text: string): Bytes => tagged(0x0c, Buffer.from(text));

/** A non-negative integer, highest byte first. */
export function whole(bytes: Bytes): Bytes {
  const first = bytes.findIndex((byte) => byte !== 0);
  const short = first === -1 ? Buffer.from([0]) : bytes.subarray(first);
  return tagged(0x02, ...((short[0] ?? 0) >= 0x80 ? [Buffer.from([0]), short] : [short]));
}

/** `unused`: the number of unused trailing bits. */
export const bits = (bytes: Bytes, unused = 0): Bytes => tagged(0x03, Buffer.from([unused]), bytes);

/** "2.5.4.3". */
export function oid(dotted: string): Bytes {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return tagged(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

/** In the form for certificates: a two-digit year until 2049. */
export function time(at: Date): Bytes {
  const text = `${at.toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`;
  return at.getUTCFullYear() < 2050 ? tagged(0x17, Buffer.from(text.slice(2))) : tagged(0x18, Buffer.from(text));
}

function lengthOf(length: number): readonly number[] {
  if (length < 0x80) return [length];
  const digits = base256(length);
  return [0x80 + digits.length, ...digits];
}

const base256 = (number: number): readonly number[] =>
  number < 256 ? [number] : [...base256(Math.floor(number / 256)), number % 256];

const base128 = (number: number): readonly number[] =>
  number < 128 ? [number] : [...base128(Math.floor(number / 128)).map((one) => one | 0x80), number % 128];
