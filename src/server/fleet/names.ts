/** Looks up the names of machines for pages that know only their ids. */

import { MACHINE_PATTERN } from '../../model.ts';
import type { Fleet } from './fleet.ts';

export type Names = ReadonlyMap<string, string>;

/** For the first ids only; machines without a name, and lock-only hosts, have none. */
export async function namesOf({ machine }: Pick<Fleet, 'machine'>, ids: readonly string[]): Promise<Names> {
  const found = await Promise.all(
    [...new Set(ids)]
      .filter((id) => MACHINE_PATTERN.test(id))
      .slice(0, MOST_NAMES)
      .map(async (id) => [id, (await machine(id))?.host?.name] as const),
  );
  return new Map(found.flatMap(([id, name]) => (name === undefined ? [] : [[id, name] as const])));
}

/** A machine's entry among the holders of a lock, by any of its ids; undefined if there is none. */
export async function placeOf<T extends Readonly<{ id: string }>>(
  { machine }: Pick<Fleet, 'machine'>,
  holders: readonly T[],
  id: string,
): Promise<T | undefined> {
  const owners = await Promise.all(holders.slice(0, MOST_NAMES).map(async (one) => (await machine(one.id))?.machine));
  return holders.find((one, at) => one.id === id || owners[at] === id);
}

const MOST_NAMES = 100;
