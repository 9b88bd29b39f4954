/** Bytes are added one by one, whatever way they are added. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { adder } from '../../../src/bundle/delta/adding.ts';
import { someBytes } from '../../support/bundles.ts';

test('adding changes exactly the bytes it is asked for, each by itself, wherever they lie', () => {
  const place = fc.nat({ max: 9000 });
  fc.assert(
    fc.property(fc.nat({ max: 7 }), place, place, place, fc.nat(), (offset, to, from, count, seed) => {
      const made = someBytes(18_000 + offset, seed);
      const bytes = made.subarray(offset);
      const old = someBytes(18_001, seed + 1).subarray(seed % 2);
      const expected = Uint8Array.from(bytes, (byte, at) =>
        at >= to && at < to + count ? byte + (old[from + at - to] as number) : byte,
      );
      adder(bytes, old)(to, from, count);
      assert.deepEqual(Buffer.from(bytes), Buffer.from(expected));
    }),
  );
});
