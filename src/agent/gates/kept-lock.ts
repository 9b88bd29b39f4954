/** A lock that is released where it was taken, whatever the configuration says since, and however long that takes. */

import { asUpdateError } from '../../errors.ts';
import type { LockClient, LockDebt } from '../../reboot/gates/locks/lock-client.ts';
import type { Clock } from '../../system/clock.ts';
import type { Log } from '../../system/log.ts';
import { lockDebts } from './lock-debts.ts';
import { isSamePlace, type LockPlace, type LockPlaces } from './lock-places.ts';

export type KeptLockWorld = Readonly<{
  places: LockPlaces;
  /** The configured lock; undefined if none is configured any more. */
  here: Readonly<{ place: LockPlace; client: LockClient }> | undefined;
  /** This host at the same place, under the id that versions without records used. */
  former?: LockPlace;
  open(place: LockPlace): Promise<LockClient>;
  command?: string;
  clock: Pick<Clock, 'now'>;
  log: Pick<Log, 'warn'>;
}>;

export interface KeptLock extends LockClient {
  /** Without a configured lock there is nothing to hold, only an earlier lock to release. */
  readonly isConfigured: boolean;
  /** The command that shows its holders; none if only its operator can inspect it. */
  readonly command?: string;
  /** Whether the lock was asked for and not released since, as the record says: an agent that starts knows no more. */
  mayHold(): Promise<boolean>;
  /** Throws while a lock still has to be released. */
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
  /** Runs once on every host. */
  const lookBack = async (): Promise<void> => {
    if (former === undefined || (await places.known()) !== undefined) return;
    await debts.owe([former]);
    await debts.settle().catch(() => undefined);
  };
  /** Tried at once; a failure is tried again later, and does not keep the host from the current lock. */
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
      // A lock that counts failures must know how the last attempt ended before the next begins.
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
    mayHold: async () => (await debts.all()).some(({ owed, ...place }) => !owed && isHere(place)),
    giveBackOwed: debts.settle,
    debt: debts.first,
  };
}

/** Answers of a server: it will say no more about the lock under a former id. */
const ANSWERS: ReadonlySet<string> = new Set(['server-failed', 'lock-refused', 'lock-contended']);
/** After this time, no other host waits for a lock at a place that this host has left. */
const LONGEST_MS = 7 * 24 * 3_600_000;
const GIVEN_UP =
  'a lock at a place that this host no longer uses could not be released for a week; its operator must release it';
