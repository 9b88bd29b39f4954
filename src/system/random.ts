/** Randomness: the only place that asks for it. */

import { randomBytes, randomInt } from 'node:crypto';

export interface Random {
  /** A number from 0 up to, not including, 1. */
  fraction(): number;
  bytes(length: number): Uint8Array;
}

export const realRandom: Random = {
  fraction: () => randomInt(2 ** 47) / 2 ** 47,
  bytes: (length) => randomBytes(length),
};
