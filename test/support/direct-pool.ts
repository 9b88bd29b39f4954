/** A decode pool without threads. */

import { decodeFrame } from '../../src/bundle/decode.ts';
import type { DecodePool } from '../../src/bundle/decode-pool.ts';
import { blockDigests } from '../../src/bundle/verity.ts';

export const directPool = (): DecodePool => ({
  map: async function* (jobs) {
    for await (const { frame, check } of jobs) yield { offset: frame.offset, bytes: decodeFrame(frame, check) };
  },
  digests: async (salt, blocks) => blockDigests(Buffer.from(salt, 'hex'), blocks),
  [Symbol.asyncDispose]: async () => {},
});
