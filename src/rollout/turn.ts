/** The order in which hosts get a release; different for each release, so that not always the same hosts go first. Pure. */

import { createHash } from 'node:crypto';
import type { MachineId, Version } from '../model.ts';

/** The host's place in [0, 1), 0 first. */
export function turnOf(machine: MachineId, version: Version): number {
  const digest = createHash('sha256').update(`tandem turn\0${version}\0${machine}`).digest();
  return digest.readUIntBE(0, 6) / 2 ** 48;
}
