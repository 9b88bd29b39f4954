/** Adds bytes to bytes, four at a time. */

/** Adds `count` bytes of `old` from `from` on to those of `bytes` from `to` on, each without a carry to the next. */
export function adder(bytes: Uint8Array, old: Uint8Array): (to: number, from: number, count: number) => void {
  const { buffer, byteOffset } = bytes;
  const words = new Int32Array(buffer, 0, Math.floor(buffer.byteLength / WORD));
  // Old bytes lie anywhere; here they begin where a word does.
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

// Each loop is a function of its own, so that V8 compiles it once.
function addBytes(bytes: Uint8Array, to: number, old: Uint8Array, from: number, count: number): void {
  for (let at = 0; at < count; at += 1) bytes[to + at] = (bytes[to + at] as number) + (old[from + at] as number);
}

/** The highest bit of each byte is added apart, so that nothing is carried into the next byte. */
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
