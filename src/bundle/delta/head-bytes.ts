/** Numbers and digests, one behind the other, as the heads of delta files have them. */

import { invalid } from './delta-file.ts';

/** Little endian; a `varint` has seven bits a byte, low ones first, and a `signed` has its sign in the lowest bit. */
export interface HeadWriter {
  u16(value: number): void;
  u32(value: number): void;
  varint(value: number): void;
  signed(value: number): void;
  bytes(bytes: Uint8Array): void;
  finish(): Uint8Array;
}

/** What a `HeadWriter` has written, in the same order. Every fault is a `delta-invalid`; each number has one way to be written. */
export interface HeadReader {
  u16(): number;
  u32(): number;
  varint(): number;
  signed(): number;
  /** A view. */
  bytes(length: number): Uint8Array;
  /** Refuses what is left over. */
  end(): void;
}

/** An empty writer. */
export function headWriter(): HeadWriter {
  let room = Buffer.alloc(START);
  let used = 0;

  const take = (length: number): number => {
    if (used + length > room.length) {
      const more = Buffer.alloc(Math.max(room.length * 2, used + length));
      more.set(room.subarray(0, used));
      room = more;
    }
    used += length;
    return used - length;
  };

  // Where first: taking room may replace it.
  const put = (write: (at: number) => void, length: number): void => write(take(length));
  const u8 = (value: number): void => put((at) => room.writeUInt8(value, at), 1);

  const varint = (value: number): void => {
    if (!Number.isInteger(value) || value < 0 || value > LARGEST) throw new RangeError(`${value} does not fit a head.`);
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) u8((rest % 128) + 128);
    u8(rest);
  };

  return {
    u16: (value) => put((at) => room.writeUInt16LE(value, at), 2),
    u32: (value) => put((at) => room.writeUInt32LE(value, at), 4),
    varint,
    signed: (value) => varint(value < 0 ? -2 * value - 1 : 2 * value),
    bytes: (bytes) => put((at) => room.set(bytes, at), bytes.length),
    finish: () => new Uint8Array(room.subarray(0, used)),
  };
}

/** A reader of these bytes. */
export function headReader(plain: Uint8Array): HeadReader {
  const view = new DataView(plain.buffer, plain.byteOffset, plain.byteLength);
  let at = 0;

  const take = (length: number): number => {
    if (at + length > plain.length) throw invalid(`it ends at ${plain.length}, within ${length} bytes from ${at} on`);
    at += length;
    return at - length;
  };

  const varint = (): number => {
    let value = 0;
    for (let weight = 1; ; weight *= 128) {
      const byte = plain[take(1)] ?? 0;
      value += (byte & 127) * weight;
      if (value > LARGEST || (byte === 0 && weight > 1))
        throw invalid(`the number before ${at} is not written as it has to be`);
      if (byte < 128) return value;
    }
  };

  return {
    u16: () => view.getUint16(take(2), true),
    u32: () => view.getUint32(take(4), true),
    varint,
    signed: () => {
      const value = varint();
      return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    },
    bytes: (length) => {
      const start = take(length);
      return plain.subarray(start, start + length);
    },
    end: () => {
      if (at !== plain.length) throw invalid(`it has ${plain.length - at} bytes after its end`);
    },
  };
}

const START = 64 * 1024;
const LARGEST = 2 ** 32;
