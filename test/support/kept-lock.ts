/** A lock whose debts are remembered in memory. */

import { type KeptLock, type KeptLockWorld, keptLock } from '../../src/agent/gates/kept-lock.ts';
import {
  type KeptPlace,
  type LockPlace,
  type LockPlaces,
  lockPlacesFormat,
} from '../../src/agent/gates/lock-places.ts';
import type { LockClient } from '../../src/reboot/gates/locks/lock-client.ts';
import { inFormat } from '../../src/system/format.ts';
import { silentLog } from '../../src/system/log.ts';

export const placeOf = (group: string, id = 'aa'): LockPlace => ({
  kind: 'fleetlock',
  addresses: ['http://lock.example/'],
  group,
  id,
});

/** What was written down stays for the next start. */
export class MemoryPlaces implements LockPlaces {
  kept: readonly KeptPlace[] | undefined;
  /** Thrown instead of writing. */
  failure: Error | undefined;
  /** What lies on the disk, while nothing else is known. */
  async known(): Promise<readonly KeptPlace[] | undefined> {
    return this.kept;
  }
  async keep(places: readonly KeptPlace[]): Promise<void> {
    this.kept = inFormat(lockPlacesFormat, places).value;
    if (this.failure) throw this.failure;
  }
}

/** Where no lock is configured. */
export const noLock: KeptLock = {
  countsFailures: false,
  isConfigured: false,
  take: async () => ({ ok: true }),
  begin: async () => {},
  giveBack: async () => {},
  mayHold: async () => false,
  giveBackOwed: async () => {},
  debt: () => undefined,
};

export const keptHere = (client: LockClient, world: Partial<KeptLockWorld> = {}): KeptLock =>
  keptLock({
    places: new MemoryPlaces(),
    here: { place: placeOf('web'), client },
    open: async () => {
      throw new Error('There is no other place.');
    },
    clock: { now: () => new Date(0) },
    log: silentLog,
    ...world,
  });
