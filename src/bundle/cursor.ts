/** Reads exact numbers of bytes from a range of a source, whose pieces have any size. */

import { UpdateError } from '../errors.ts';
import type { ByteSource } from './byte-source.ts';

export interface Cursor extends AsyncDisposable {
  /** The offset of the next byte. */
  readonly offset: number;
  /** Exactly `length` bytes, valid until the next call. */
  take(length: number): Promise<Uint8Array>;
  /** Like `take`, but a copy that stays valid. */
  copy(length: number): Promise<Uint8Array>;
}

/** A cursor over the bytes from `start` up to `end`. Disposing it releases the connection. */
export function createCursor(source: ByteSource, start: number, end: number, signal: AbortSignal): Cursor {
  const pieces = source.open(start, signal, end)[Symbol.asyncIterator]();
  let piece: Uint8Array = new Uint8Array(0);
  let scratch: Uint8Array = new Uint8Array(0);
  let offset = start;

  const endsEarly = (): UpdateError =>
    new UpdateError('bundle-size', `${source.name} ends early, after offset ${offset} of ${source.size}.`);

  const next = async (): Promise<void> => {
    signal.throwIfAborted();
    const { value, done } = await pieces.next();
    if (done === true) throw endsEarly();
    piece = value;
  };

  const gather = async (length: number): Promise<Uint8Array> => {
    if (scratch.length < length) scratch = new Uint8Array(length);
    for (let filled = 0; filled < length; ) {
      if (piece.length === 0) await next();
      const part = piece.subarray(0, length - filled);
      scratch.set(part, filled);
      piece = piece.subarray(part.length);
      filled += part.length;
    }
    return scratch.subarray(0, length);
  };

  const take = async (length: number): Promise<Uint8Array> => {
    if (offset + length > end) throw endsEarly();
    // Returned without a copy if a single piece contains it all.
    const whole = piece.length >= length && piece.length > 0;
    const bytes = whole ? piece.subarray(0, length) : await gather(length);
    if (whole) piece = piece.subarray(length);
    offset += length;
    return bytes;
  };

  return {
    get offset() {
      return offset;
    },
    take,
    // Not `slice`, which on a Buffer returns a view.
    copy: async (length) => new Uint8Array(await take(length)),
    [Symbol.asyncDispose]: async () => void (await pieces.return?.()),
  };
}
