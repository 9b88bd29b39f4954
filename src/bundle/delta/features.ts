/** Finds resemblances between the new volume and the old: content-sampled windows of 32 bytes. */

/** Receives the hash of a sampled window, and its end position. */
export type FeatureSink = (feature: number, end: number) => void;

/** The blocks of the old volume that contain a feature. */
export interface FeatureIndex {
  /** The number of windows kept. */
  readonly count: number;
  /** Calls `visit` for each block with the feature, unless there are too many to be significant. */
  visit(feature: number, visit: (block: number, of: number) => void): void;
}

/** A feature in more places (zeros, tables) is not significant. */
export const COMMON = 8;

/** Samples about one window in `2 ** log`; equal bytes are sampled alike at any position. */
export function sampleFeatures(bytes: Uint8Array, log: number, sink: FeatureSink): void {
  const shift = 32 - log;
  let rolling = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    rolling = ((rolling << 1) + (GEAR[bytes[at] as number] as number)) | 0;
    if (rolling >>> shift === 0 && at >= WINDOW - 1) sink(hashBefore(bytes, at + 1), at + 1);
  }
}

/** Hashes the whole window: the bits of the rolling hash that selected it are constant, so it would collide often. */
function hashBefore(bytes: Uint8Array, end: number): number {
  let mixed = 0;
  for (let at = end - WINDOW; at < end; at += 4) {
    const word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    mixed = Math.imul(mixed ^ word, 0x9e3779b1);
    mixed ^= mixed >>> 15;
  }
  return mixed;
}

/** Collects features with their blocks, then looks them up. */
export function createFeatureIndex(about: number): FeatureIndex & { add(feature: number, block: number): void } {
  const expected = Math.max(16, Math.ceil(about));
  const mask = 2 ** Math.ceil(Math.log2(expected)) - 1;
  const heads = new Int32Array(mask + 1).fill(-1);
  let features = new Int32Array(expected);
  let blocks = new Uint32Array(features.length);
  let next = new Int32Array(features.length);
  let count = 0;

  const grow = (): void => {
    const larger = Math.ceil(features.length * 1.5);
    features = enlarged(features, new Int32Array(larger));
    next = enlarged(next, new Int32Array(larger));
    const kept = new Uint32Array(larger);
    kept.set(blocks);
    blocks = kept;
  };

  /** The number of occurrences; the same block in a row counts once. */
  const occurrences = (feature: number, block: number): number => {
    let found = 0;
    for (let entry = heads[placeOf(feature, mask)] as number; entry >= 0; entry = next[entry] as number) {
      if (features[entry] !== feature) continue;
      if (blocks[entry] === block) return COMMON + 1;
      found += 1;
    }
    return found;
  };

  const add = (feature: number, block: number): void => {
    // One more than the limit is kept, to recognise common features.
    if (occurrences(feature, block) > COMMON) return;
    if (count === features.length) grow();
    const place = placeOf(feature, mask);
    features[count] = feature;
    blocks[count] = block;
    next[count] = heads[place] as number;
    heads[place] = count;
    count += 1;
  };

  const visit = (feature: number, visitor: (block: number, of: number) => void): void => {
    const found: number[] = [];
    for (let entry = heads[placeOf(feature, mask)] as number; entry >= 0; entry = next[entry] as number)
      if (features[entry] === feature) found.push(blocks[entry] as number);
    if (found.length <= COMMON) for (const block of found) visitor(block, found.length);
  };

  return {
    get count() {
      return count;
    },
    add,
    visit,
  };
}

function enlarged(values: Int32Array, larger: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  larger.set(values);
  return larger;
}

/** A byte leaves the hash after as many shifts as it has bits. */
const WINDOW = 32;

const placeOf = (feature: number, mask: number): number => (Math.imul(feature, 0x9e3779b1) >>> 4) & mask;

/** A fixed pseudo-random number per byte value. */
const GEAR = gear();

function gear(): Int32Array {
  const table = new Int32Array(256);
  let state = 0x2545f491;
  for (let value = 0; value < 256; value += 1) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5;
    state = Math.imul(state ^ (state >>> 12), 0x297a2d39);
    state ^= state >>> 15;
    table[value] = state;
  }
  return table;
}
