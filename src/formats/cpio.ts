/** Reads cpio archives in the form that Linux takes as an initrd ("newc"), piece by piece and in any number. */

import { UpdateError } from '../errors.ts';
import { kindOfMode } from './file-kind.ts';

/** `content` only if it was asked for; of a link always, since it is the target. */
export type CpioEntry = Readonly<{ path: string; mode: number; size: number; content?: Uint8Array }>;

/** Where something else than an archive begins: `at` bytes from the start, with its first bytes. */
export type CpioEnd = Readonly<{ at: number; magic: Uint8Array }>;

export type CpioOptions = Readonly<{
  found(entry: CpioEntry): void;
  /** Whether to keep the content of a file. */
  keeps(path: string, size: number): boolean;
}>;

/** Reads archives, and the zeros between them, up to the end of `pieces` or to something else. Throws if an archive is cut off. */
export async function readCpio(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: CpioOptions,
): Promise<CpioEnd | undefined> {
  const parser = archives(options);
  let wanted = parser.next(new Uint8Array());
  let [at, rest]: [number, Uint8Array] = [0, new Uint8Array()];
  for await (const piece of pieces) {
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    // An image of zeros may be long.
    const zeros = wanted.done !== true && wanted.value.mayEnd ? leadingZeros(rest) : 0;
    [at, rest] = [at + zeros, rest.subarray(zeros)];
    while (wanted.done !== true && rest.length > 0 && rest.length >= wanted.value.least) {
      const taken = rest.subarray(0, wanted.value.most);
      [at, rest] = [at + taken.length, rest.subarray(taken.length)];
      wanted = parser.next(taken);
    }
    if (wanted.done === true) return { at: at - wanted.value.length, magic: wanted.value };
  }
  if (wanted.done === true || !wanted.value.mayEnd || rest.some((byte) => byte !== 0)) throw cutOff();
  return undefined;
}

/** The next bytes, so many at least and at most; `mayEnd`: the input may end here. */
type Wanted = Readonly<{ least: number; most: number; mayEnd: boolean }>;

const HEADER = 110;
const ALIGNMENT = 4;
const LONGEST_NAME = 4096;
const MOST_AT_ONCE = 1024 * 1024;
const MOST_ENTRIES = 500_000;

/** Returns the first bytes of what is not an archive. */
function* archives(options: CpioOptions): Generator<Wanted, Uint8Array, Uint8Array> {
  for (let count = 0; count < MOST_ENTRIES; ) {
    const magic = yield { least: ALIGNMENT, most: ALIGNMENT, mayEnd: true };
    if (magic.every((byte) => byte === 0)) continue;
    if (textOf(magic) !== '0707') return magic.slice();
    yield* entry(options);
    count += 1;
  }
  throw new UpdateError('source-unreadable', `An initrd with more than ${MOST_ENTRIES} files is not read.`);
}

/** One entry, after the first four bytes of its header. */
function* entry({ found, keeps }: CpioOptions): Generator<Wanted, void, Uint8Array> {
  const header = textOf(yield* exactly(HEADER - ALIGNMENT));
  if (!/^0[12][0-9a-fA-F]{104}$/.test(header)) throw cutOff();
  const field = (index: number): number => Number.parseInt(header.slice(2 + index * 8, 10 + index * 8), 16);
  const [mode, size, nameSize] = [field(1), field(6), field(11)];
  if (nameSize < 1 || nameSize > LONGEST_NAME) throw cutOff();
  const name = yield* exactly(nameSize + padding(HEADER + nameSize));
  const path = new TextDecoder().decode(name.subarray(0, nameSize - 1)).replace(/^(\.?\/)+|^\.$/, '');
  const isKept = size <= MOST_AT_ONCE * 16 && (kindOfMode(mode) === 'link' || keeps(path, size));
  const content = yield* body(size, isKept);
  if (path !== 'TRAILER!!!' && path !== '') found({ path, mode, size, ...(content ? { content } : {}) });
}

/** The content of a file with its padding. */
function* body(size: number, isKept: boolean): Generator<Wanted, Uint8Array | undefined, Uint8Array> {
  const kept: Uint8Array[] = [];
  for (let left = size; left > 0; ) {
    const bytes = yield { least: 1, most: Math.min(left, MOST_AT_ONCE), mayEnd: false };
    if (isKept) kept.push(bytes.slice());
    left -= bytes.length;
  }
  yield* exactly(padding(size));
  return isKept ? Buffer.concat(kept) : undefined;
}

function* exactly(length: number): Generator<Wanted, Uint8Array, Uint8Array> {
  return length === 0 ? new Uint8Array() : yield { least: length, most: length, mayEnd: false };
}

/** In whole steps of the alignment. */
function leadingZeros(bytes: Uint8Array): number {
  let count = 0;
  while (count < bytes.length && bytes[count] === 0) count += 1;
  return count - (count % ALIGNMENT);
}

const padding = (length: number): number => (ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT;

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

const cutOff = (): UpdateError =>
  new UpdateError('source-unreadable', 'The initrd is damaged: an archive in it is cut off.');
