/** In which order hosts get a release: another one for each release, so that it is not always the same hosts that go first. Pure. */

import { createHash } from 'node:crypto';
import type { MachineId, Version } from '../model.ts';

/** The host's place, from 0 (first) up to but not including 1. */
export function turnOf(machine: MachineId, version: Version): number {
  const digest = createHash('sha256').update(`tandem turn\0${version}\0${machine}`).digest();
  return digest.readUIntBE(0, 6) / 2 ** 48;
}
