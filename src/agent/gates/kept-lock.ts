/** A lock that is given back where it was taken, however the configuration has changed since, and for as long as it takes. */

import { asUpdateError } from '../../errors.ts';
import type { LockClient, LockDebt } from '../../reboot/gates/locks/lock-client.ts';
import type { Clock } from '../../system/clock.ts';
import type { Log } from '../../system/log.ts';
import { lockDebts } from './lock-debts.ts';
import { isSamePlace, type LockPlace, type LockPlaces } from './lock-places.ts';

export type KeptLockWorld = Readonly<{
  places: LockPlaces;
  /** The lock of the configuration; undefined where none is configured any more. */
  here: Readonly<{ place: LockPlace; client: LockClient }> | undefined;
  /** This host in the same place, as versions called it that wrote nothing down. */
  former?: LockPlace;
  open(place: LockPlace): Promise<LockClient>;
  command?: string;
  clock: Pick<Clock, 'now'>;
  log: Pick<Log, 'warn'>;
}>;

export interface KeptLock extends LockClient {
  /** Without a lock in the configuration there is nothing to hold, only debts of an earlier one. */
  readonly isConfigured: boolean;
  /** What shows who holds it; there is none where only its operator can look. */
  readonly command?: string;
  /** Throws while anything is owed still. */
  giveBackOwed(): Promise<void>;
  debt(): LockDebt | undefined;
}

export function keptLock(world: KeptLockWorld): KeptLock {
  const { places, here, former } = world;
  const isHere = (place: LockPlace): boolean => here !== undefined && isSamePlace(place, here.place);
  const isFormer = (place: LockPlace): boolean => former !== undefined && isSamePlace(place, former);
  const debts = lockDebts({
    ...world,
    giveBackAt: async (place, ended) => (here && isHere(place) ? here.client : await world.open(place)).giveBack(ended),
    isOver: (place, failure, ageMs) => {
      if (isFormer(place)) return ANSWERS.has(asUpdateError(failure).code);
      if (isHere(place) || ageMs < LONGEST_MS) return false;
      world.log.warn({ place: place.addresses.join(', '), group: place.group }, GIVEN_UP);
      return true;
    },
  });
  /** Once on every host. */
  const lookBack = async (): Promise<void> => {
    if (former === undefined || (await places.known()) !== undefined) return;
    await debts.owe([former]);
    await debts.settle().catch(() => undefined);
  };
  /** Tried at once; what fails is tried again later, and does not keep the host from the lock that counts now. */
  const leaveOthers = async (): Promise<void> => {
    const others = (await debts.all()).filter((one) => !isHere(one));
    if (!(await debts.owe(others))) await debts.settle().catch(() => undefined);
  };
  return {
    countsFailures: here?.client.countsFailures ?? false,
    isConfigured: here !== undefined,
    ...(world.command === undefined ? {} : { command: world.command }),
    take: async (why) => {
      await lookBack();
      await leaveOthers();
      if (!here) return { ok: true };
      const ended = (await debts.all()).find(isHere)?.owed?.ended;
      // What counts failures must know how the last attempt ended before another begins.
      if (here.client.countsFailures && ended) await here.client.giveBack(ended);
      await debts.keep([...(await debts.all()).filter((one) => !isHere(one)), here.place]);
      return here.client.take(why);
    },
    begin: async () => here?.client.begin(),
    giveBack: async (ended) => {
      await lookBack();
      const known = (await debts.all()).filter((one) => !isFormer(one));
      await debts.owe(known.length > 0 || !here ? known : [here.place], ended);
      await debts.settle();
    },
    giveBackOwed: debts.settle,
    debt: debts.first,
  };
}

/** A server that has spoken: of the lock under a former id there is no more to be had. */
const ANSWERS: ReadonlySet<string> = new Set(['server-failed', 'lock-refused', 'lock-contended']);
/** After so long nobody waits for a lock in a place that this host has left. */
const LONGEST_MS = 7 * 24 * 3_600_000;
const GIVEN_UP = 'a lock where this host asks no more could not be given back for a week, and is left to its operator';
