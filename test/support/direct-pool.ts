/** A decode pool without threads. */

import { decodeFrame } from '../../src/bundle/decode/decode.ts';
import type { DecodePool } from '../../src/bundle/decode/pool.ts';
import { unpackSegment } from '../../src/bundle/delta/patch-decode.ts';
import { blockDigests } from '../../src/bundle/verity.ts';

export const directPool = (): DecodePool => ({
  map: async function* (jobs) {
    for await (const { frame, check } of jobs) yield { offset: frame.offset, bytes: decodeFrame(frame, check) };
  },
  digests: async (salt, blocks) => blockDigests(Buffer.from(salt, 'hex'), blocks),
  segment: async ({ segment, packed, dictionary, into, salt }) => {
    const plain = unpackSegment(segment, packed, dictionary);
    into.set(plain);
    return blockDigests(Buffer.from(salt, 'hex'), plain);
  },
  [Symbol.asyncDispose]: async () => {},
});
