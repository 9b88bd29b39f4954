/** Randomness: the only module that generates it. */

import { randomBytes, randomInt } from 'node:crypto';

export interface Random {
  /** A number in [0, 1). */
  fraction(): number;
  bytes(length: number): Uint8Array;
}

export const realRandom: Random = {
  fraction: () => randomInt(2 ** 47) / 2 ** 47,
  bytes: (length) => randomBytes(length),
};
