/** Updates that share one step of the store: applied in order to the current documents, then written together. Pure. */

import type { Change, Json } from './store.ts';

/** One update, with the names of its documents. */
export type Played = Readonly<{
  keys: readonly string[];
  change(documents: readonly (Json | undefined)[]): Change<unknown>;
}>;

export type Outcome = Readonly<{ result: unknown }> | Readonly<{ error: unknown }>;

/** The result of the jobs; `after` contains the documents to write, or undefined to remove one. A job that throws changes nothing. */
export function play(
  jobs: readonly Played[],
  before: (key: string) => Json | undefined,
): Readonly<{ after: ReadonlyMap<string, Json | undefined>; outcomes: readonly Outcome[] }> {
  const after = new Map<string, Json | undefined>();
  const now = (key: string): Json | undefined => (after.has(key) ? after.get(key) : before(key));
  const outcomes = jobs.map(({ keys, change }): Outcome => {
    try {
      const { write, result } = change(keys.map(now));
      for (const [at, key] of keys.entries()) if (write[at] !== undefined) after.set(key, write[at] ?? undefined);
      return { result };
    } catch (error) {
      return { error };
    }
  });
  return { after, outcomes };
}
