/** Bytewise addition, four bytes at a time. */

/** Adds `count` bytes of `old` at `from` to those of `bytes` at `to`, each without a carry. */
export function adder(bytes: Uint8Array, old: Uint8Array): (to: number, from: number, count: number) => void {
  const { buffer, byteOffset } = bytes;
  const words = new Int32Array(buffer, 0, Math.floor(buffer.byteLength / WORD));
  // Copies the old bytes to a word-aligned place.
  const chunk = new Uint8Array(CHUNK);
  const chunkWords = new Int32Array(chunk.buffer);
  return (to, from, count) => {
    let done = count < WORTHWHILE ? count : -(byteOffset + to) & (WORD - 1);
    addBytes(bytes, to, old, from, done);
    while (count - done >= WORD) {
      const part = Math.min(CHUNK, (count - done) & -WORD);
      chunk.set(old.subarray(from + done, from + done + part));
      addWords(words, (byteOffset + to + done) / WORD, chunkWords, part / WORD);
      done += part;
    }
    addBytes(bytes, to + done, old, from + done, count - done);
  };
}

// Separate functions, so that V8 compiles each loop once.
function addBytes(bytes: Uint8Array, to: number, old: Uint8Array, from: number, count: number): void {
  for (let at = 0; at < count; at += 1) bytes[to + at] = (bytes[to + at] as number) + (old[from + at] as number);
}

/** The highest bit of each byte is added separately, so that nothing carries into the next byte. */
function addWords(words: Int32Array, to: number, others: Int32Array, count: number): void {
  for (let at = 0; at < count; at += 1) {
    const one = words[to + at] as number;
    const other = others[at] as number;
    words[to + at] = ((one & LOW_BITS) + (other & LOW_BITS)) ^ ((one ^ other) & HIGH_BITS);
  }
}

const LOW_BITS = 0x7f7f7f7f;
const HIGH_BITS = 0x80808080 | 0;
const WORD = 4;
const WORTHWHILE = 64;
const CHUNK = 4096;
