/** The difference between new bytes and aligned old ones: mostly zeros, which compress well. */

import { adder } from './adding.ts';
import type { Stretch } from './alignment.ts';
import { numberReader, numberWriter } from './numbers.ts';

/** A segment as a difference. `bytes` has as many bytes as the result; `layout` describes the subtracted old bytes; `equal` bytes became zero. */
export type Difference = Readonly<{ bytes: Uint8Array; layout: Uint8Array; equal: number }>;

/** Subtracts the aligned old bytes; unaligned bytes stay as they are. */
export function differenceOf(old: Uint8Array, plain: Uint8Array, stretches: readonly Stretch[]): Difference {
  const bytes = new Uint8Array(plain);
  let equal = 0;
  for (const { to, from, count } of stretches)
    for (let at = 0; at < count; at += 1) {
      const difference = (plain[to + at] as number) - (old[from + at] as number);
      bytes[to + at] = difference;
      if (difference === 0) equal += 1;
    }
  return { bytes, layout: encodeLayout(stretches), equal };
}

/** Adds the old bytes back, in place. Throws the error that `refuse` builds if the layout does not fit these bytes. */
export function addOld(bytes: Uint8Array, layout: Uint8Array, old: Uint8Array, refuse: (what: string) => Error): void {
  const input = numberReader(layout, refuse);
  const length = input.count(bytes.length);
  const gaps = Uint32Array.from({ length }, () => input.count(bytes.length));
  const counts = Uint32Array.from({ length }, () => input.count(bytes.length));
  const add = adder(bytes, old);
  let [to, from] = [0, 0];
  for (let index = 0; index < length; index += 1) {
    to += gaps[index] as number;
    from += input.signed();
    const count = counts[index] as number;
    if (to + count > bytes.length || from < 0 || from + count > old.length)
      throw refuse('a stretch lies outside of its bytes');
    add(to, from, count);
    to += count;
    from += count;
  }
  input.end();
}

/** Numbers of the same kind are stored together, which compresses better. */
function encodeLayout(stretches: readonly Stretch[]): Uint8Array {
  const out = numberWriter();
  out.count(stretches.length);
  const before = (index: number): Stretch => stretches[index - 1] ?? { to: 0, from: 0, count: 0 };
  for (const [index, { to }] of stretches.entries()) out.count(to - before(index).to - before(index).count);
  for (const { count } of stretches) out.count(count);
  for (const [index, { from }] of stretches.entries()) out.signed(from - before(index).from - before(index).count);
  return out.finish();
}
