/** The difference of new bytes from old ones that stand beside them: mostly zeros, which pack well. */

import type { Stretch } from './alignment.ts';
import { numberReader, numberWriter } from './numbers.ts';

/** A segment as a difference. `bytes` has as many as are to be made; `layout` says what they were taken from; `equal` of them are zero for it. */
export type Difference = Readonly<{ bytes: Uint8Array; layout: Uint8Array; equal: number }>;

/** Takes the old bytes from those beside them; the others stay as they are. */
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

/** Adds the old bytes again, in place. Throws what `refuse` makes of a sentence when the layout is not one for these bytes. */
export function addOld(bytes: Uint8Array, layout: Uint8Array, old: Uint8Array, refuse: (what: string) => Error): void {
  for (const { to, from, count } of decodeLayout(layout, bytes.length, old.length, refuse))
    for (let at = 0; at < count; at += 1) bytes[to + at] = (bytes[to + at] as number) + (old[from + at] as number);
}

/** Numbers of a kind stand together: they pack better. */
function encodeLayout(stretches: readonly Stretch[]): Uint8Array {
  const out = numberWriter();
  out.count(stretches.length);
  const before = (index: number): Stretch => stretches[index - 1] ?? { to: 0, from: 0, count: 0 };
  for (const [index, { to }] of stretches.entries()) out.count(to - before(index).to - before(index).count);
  for (const { count } of stretches) out.count(count);
  for (const [index, { from }] of stretches.entries()) out.signed(from - before(index).from - before(index).count);
  return out.finish();
}

function decodeLayout(
  layout: Uint8Array,
  size: number,
  oldSize: number,
  refuse: (what: string) => Error,
): readonly Stretch[] {
  const input = numberReader(layout, refuse);
  const length = input.count(size);
  const gaps = Array.from({ length }, () => input.count(size));
  const counts = Array.from({ length }, () => input.count(size));
  let [to, from] = [0, 0];
  const stretches = gaps.map((gap, index) => {
    const count = counts[index] as number;
    const stretch = { to: to + gap, from: from + input.signed(), count };
    to = stretch.to + count;
    from = stretch.from + count;
    if (to > size || stretch.from < 0 || from > oldSize) throw refuse('a stretch lies outside of its bytes');
    return stretch;
  });
  input.end();
  return stretches;
}
