/** Variable-length integers: seven bits per byte, lowest first, shortest form only. */

export type NumberWriter = Readonly<{
  /** An unsigned integer. */
  count(value: number): void;
  /** A signed integer. */
  signed(value: number): void;
  bytes(bytes: Uint8Array): void;
  finish(): Uint8Array;
}>;

/** Each method throws the error that `refuse` builds if the bytes are invalid. */
export type NumberReader = Readonly<{
  /** 0 to `most`. */
  count(most: number): number;
  signed(): number;
  /** A copy of the next bytes. */
  bytes(length: number): Uint8Array;
  /** Throws if bytes are left. */
  end(): void;
}>;

/** A writer of integers and bytes. */
export function numberWriter(): NumberWriter {
  let buffer = new Uint8Array(1024);
  let used = 0;
  const room = (length: number): void => {
    if (used + length <= buffer.length) return;
    const larger = new Uint8Array(2 * (used + length));
    larger.set(buffer);
    buffer = larger;
  };
  const count = (value: number): void => {
    room(LONGEST);
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) buffer[used++] = (rest % 128) + 128;
    buffer[used++] = rest;
  };
  return {
    count,
    signed: (value) => count(value < 0 ? -2 * value - 1 : 2 * value),
    bytes: (bytes) => {
      room(bytes.length);
      buffer.set(bytes, used);
      used += bytes.length;
    },
    finish: () => buffer.slice(0, used),
  };
}

/** The matching reader. */
export function numberReader(input: Uint8Array, refuse: (what: string) => Error): NumberReader {
  const place = { at: 0 };
  return {
    count: (most) => {
      const value = readNumber(input, place, refuse);
      if (value > most) throw refuse(`${value} is more than ${most}`);
      return value;
    },
    signed: () => {
      const value = readNumber(input, place, refuse);
      return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
    },
    bytes: (length) => {
      if (place.at + length > input.length) throw refuse('it is cut off');
      place.at += length;
      // Not `slice`, which on a Buffer returns a view.
      return new Uint8Array(input.subarray(place.at - length, place.at));
    },
    end: () => {
      if (place.at < input.length) throw refuse(`${input.length - place.at} bytes follow it`);
    },
  };
}

/** Outside the reader, because V8 would compile it again for each one. */
function readNumber(input: Uint8Array, place: { at: number }, refuse: (what: string) => Error): number {
  for (let value = 0, scale = 1; ; scale *= 128) {
    const byte = input[place.at++];
    if (byte === undefined) throw refuse('it is cut off');
    value += (byte & 127) * scale;
    if (value > Number.MAX_SAFE_INTEGER || scale > Number.MAX_SAFE_INTEGER) throw refuse('a number is too large');
    if (byte >= 128) continue;
    if (byte === 0 && scale > 1) throw refuse('a number is longer than it has to be');
    return value;
  }
}

const LONGEST = 8;
