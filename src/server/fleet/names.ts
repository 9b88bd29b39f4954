/** What machines call themselves, for pages that know only their ids. */

import { MACHINE_PATTERN } from '../../model.ts';
import type { Fleet } from './fleet.ts';

export type Names = ReadonlyMap<string, string>;

/** Of the first so many; who has never said a name has none, and who takes part in a lock alone neither. */
export async function namesOf({ machine }: Pick<Fleet, 'machine'>, ids: readonly string[]): Promise<Names> {
  const found = await Promise.all(
    [...new Set(ids)]
      .filter((id) => MACHINE_PATTERN.test(id))
      .slice(0, MOST_NAMES)
      .map(async (id) => [id, (await machine(id))?.host?.name] as const),
  );
  return new Map(found.flatMap(([id, name]) => (name === undefined ? [] : [[id, name] as const])));
}

/** The place that a machine has among the holders of a lock, under whatever id; undefined for none. */
export async function placeOf<T extends Readonly<{ id: string }>>(
  { machine }: Pick<Fleet, 'machine'>,
  holders: readonly T[],
  id: string,
): Promise<T | undefined> {
  const owners = await Promise.all(holders.slice(0, MOST_NAMES).map(async (one) => (await machine(one.id))?.machine));
  return holders.find((one, at) => one.id === id || owners[at] === id);
}

const MOST_NAMES = 100;
