/** Aligns new bytes with old ones so that most are equal, in stretches that tolerate changes: code moves as a whole while numbers in it change. */

/** `count` new bytes at `to` are aligned with the old ones at `from`. */
export type Stretch = Readonly<{ to: number; from: number; count: number }>;

/** Finds alignments; reuses its tables between calls. */
export type Aligner = (old: Uint8Array, plain: Uint8Array) => Stretch[];

/** An aligner for at most this many old bytes. */
export function createAligner(oldLimit: number): Aligner {
  const heads = new Int32Array(1 << HASH_BITS);
  const next = new Int32Array(oldLimit);
  return (old, plain) => {
    indexAll(old, heads, next);
    return align({ old, plain, heads, next });
  };
}

const HASH_BITS = 18;
/** The minimum match length of a candidate, in bytes. */
const SEED = 8;
/** The most candidates examined. */
const CHAIN = 48;
/** The equal bytes that a new alignment must gain to be worth its description. */
const GAIN = 4;
/** A match of this length is taken without comparing others. */
const ENOUGH = 1024;

type Tables = Readonly<{ old: Uint8Array; plain: Uint8Array; heads: Int32Array; next: Int32Array }>;

/** All positions in `old`, chained by equal content, the first at the head. */
function indexAll(old: Uint8Array, heads: Int32Array, next: Int32Array): void {
  heads.fill(-1);
  for (let at = old.length - SEED; at >= 0; at -= 1) {
    const place = seedAt(old, at);
    next[at] = heads[place] as number;
    heads[place] = at;
  }
}

function seedAt(bytes: Uint8Array, at: number): number {
  const low = word(bytes, at);
  const high = word(bytes, at + 4);
  return (Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b)) >>> (32 - HASH_BITS);
}

const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) |
  ((bytes[at + 1] as number) << 8) |
  ((bytes[at + 2] as number) << 16) |
  ((bytes[at + 3] as number) << 24);

type Match = { from: number; count: number };

/**
 * Scans the new bytes. While they equal the aligned old ones, or nearly, no search is made; elsewhere the longest match decides whether a
 * new alignment gains enough. Each stretch is then extended both ways while most bytes are equal.
 */
function align(tables: Tables): Stretch[] {
  const { old, plain } = tables;
  const stretches: Stretch[] = [];
  // The open stretch: its start on both sides, and the offset between new and old bytes.
  let open = { to: 0, from: 0 };
  const match: Match = { from: 0, count: 0 };
  let scan = 0;
  for (;;) {
    scan = nextSwitch(tables, scan, open.from - open.to, match);
    const to = scan;
    const { from } = match;
    const ahead = lengthened(old, plain, open, to);
    if (to >= plain.length) {
      push(stretches, open, ahead);
      return stretches;
    }
    const behind = extendedBack(old, plain, to, from, to - open.to);
    const overlap = open.to + ahead - (to - behind);
    const cut =
      overlap > 0 ? bestCut(tables, { to: to - behind, from: from - behind }, open.from - open.to, overlap) : 0;
    push(stretches, open, overlap > 0 ? ahead - overlap + cut : ahead);
    open =
      overlap > 0 ? { to: to - behind + cut, from: from - behind + cut } : { to: to - behind, from: from - behind };
    scan = to + match.count;
  }
}

function push(stretches: Stretch[], { to, from }: { to: number; from: number }, count: number): void {
  if (count > 0) stretches.push({ to, from, count });
}

/** The start of the next worthwhile alignment (`match` describes it), or the end of the new bytes. */
function nextSwitch({ old, plain, heads, next }: Tables, start: number, offset: number, match: Match): number {
  let scan = start;
  const last = plain.length - SEED;
  while (scan <= last) {
    const same = run(old, plain, scan + offset, scan);
    if (same >= SEED) {
      scan += same;
      continue;
    }
    longest({ old, plain, heads, next }, scan, match);
    if (match.count > 0 && match.count > equalBytes(old, plain, scan, offset, match.count) + GAIN) return scan;
    scan += 1;
  }
  return plain.length;
}

/** The number of equal bytes from these positions on. */
function run(old: Uint8Array, plain: Uint8Array, from: number, to: number): number {
  if (from < 0) return 0;
  const limit = Math.min(plain.length - to, old.length - from);
  let count = 0;
  while (count < limit && old[from + count] === plain[to + count]) count += 1;
  return count;
}

function longest({ old, plain, heads, next }: Tables, to: number, match: Match): void {
  match.count = 0;
  let from = heads[seedAt(plain, to)] as number;
  for (let tries = CHAIN; from >= 0 && tries > 0 && match.count < ENOUGH; tries -= 1) {
    if (old[from + match.count] === plain[to + match.count]) {
      const count = run(old, plain, from, to);
      if (count > match.count) {
        match.from = from;
        match.count = count;
      }
    }
    from = next[from] as number;
  }
}

function equalBytes(old: Uint8Array, plain: Uint8Array, to: number, offset: number, count: number): number {
  let equal = 0;
  for (let at = to; at < to + count; at += 1) if (old[at + offset] === plain[at]) equal += 1;
  return equal;
}

/** How far the open stretch extends towards `end` with most bytes equal. */
function lengthened(old: Uint8Array, plain: Uint8Array, open: { to: number; from: number }, end: number): number {
  const limit = Math.min(end - open.to, old.length - open.from);
  let best = 0;
  for (let at = 0, score = 0, most = 0; at < limit; ) {
    score += old[open.from + at] === plain[open.to + at] ? 1 : -1;
    at += 1;
    if (score > most) {
      most = score;
      best = at;
    }
  }
  return best;
}

/** How far a match extends backwards, at most `limit` bytes, with most bytes equal. */
function extendedBack(old: Uint8Array, plain: Uint8Array, to: number, from: number, limit: number): number {
  const most = Math.min(limit, from);
  let best = 0;
  for (let at = 1, score = 0, highest = 0; at <= most; at += 1) {
    score += old[from - at] === plain[to - at] ? 1 : -1;
    if (score > highest) {
      highest = score;
      best = at;
    }
  }
  return best;
}

/** How many of the bytes claimed by both stretches fit the earlier one better. */
function bestCut(
  { old, plain }: Tables,
  later: { to: number; from: number },
  earlier: number,
  overlap: number,
): number {
  let best = 0;
  for (let at = 0, score = 0, highest = 0; at < overlap; at += 1) {
    const byte = plain[later.to + at];
    if (old[later.to + at + earlier] === byte) score += 1;
    if (old[later.from + at] === byte) score -= 1;
    if (score > highest) {
      highest = score;
      best = at + 1;
    }
  }
  return best;
}
