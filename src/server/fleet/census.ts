/** The census of the fleet, counted periodically in pages, so that viewing it costs the same for any number of machines. */

import type { Json, Store } from '../store/store.ts';
import { addPoint, type History, type Point } from './census-history.ts';
import { type Counted, emptyTally, tally } from './census-tally.ts';
import { type Expiry, NO_EXPIRY } from './expiry.ts';
import { machineIn } from './machines.ts';

export type Census = Readonly<{
  /** The last count. A stale one is refreshed in the background; the very first is awaited. */
  latest(): Promise<Counted>;
  /** The last count, however old; undefined before the first. */
  last(): Promise<Counted | undefined>;
  history(): Promise<readonly Point[]>;
  /** Counts if the last count, by any server, is too old for the history. */
  keep(): Promise<void>;
}>;

/** `pause` yields to other requests between pages. */
export type CensusWorld = Readonly<{ now(): Date; pause(): Promise<void>; expiry?: Expiry }>;

export function createCensus(store: Store, world: CensusWorld): Census {
  let running: Promise<Counted> | undefined;
  const known = async () => (await store.read(LATEST)) as Counted | undefined;
  const take = (): Promise<Counted> => {
    running ??= countAll(store, world).finally(() => {
      running = undefined;
    });
    return running;
  };
  return {
    latest: async () => {
      const last = await known();
      if (!last) return take();
      // A failure is not reported here; the next caller retries.
      if (isOld(last, world.now())) take().catch(() => undefined);
      return last;
    },
    last: known,
    history: async () => ((await store.read(HISTORY)) as History | undefined)?.points ?? [],
    keep: async () => {
      const last = await known();
      if (!last || world.now().getTime() - Date.parse(last.at) >= KEEP_MS) await take();
    },
  };
}

const LATEST = { kind: 'census', id: 'latest' };
const HISTORY = { kind: 'census', id: 'history' };
const PAGE = 500;
const FRESH_MS = 5000;
const KEEP_MS = 5 * 60_000;
/** Limits the share of time spent counting. */
const REST = 20;

const isOld = ({ at, tookMs }: Counted, now: Date): boolean =>
  now.getTime() - Date.parse(at) > Math.max(FRESH_MS, tookMs * REST);

async function countAll(store: Store, { now, pause, expiry = NO_EXPIRY }: CensusWorld): Promise<Counted> {
  const begun = now();
  const sum = emptyTally();
  const over: string[] = [];
  for (let after: string | undefined, more = true; more; ) {
    const { documents, next } = await store.list('machine', PAGE, after);
    for (const { id, document } of documents) {
      const machine = machineIn(document);
      if (machine && expiry.isOver(machine)) over.push(id);
      else if (machine) tally(sum, machine, begun);
    }
    after = next;
    more = next !== undefined;
    await pause();
  }
  await expiry.forget(over);
  const counted: Counted = { schema: 1, at: begun.toISOString(), tookMs: now().getTime() - begun.getTime(), ...sum };
  await store.update([LATEST, HISTORY], ([last, history]) => {
    // Another replica was faster.
    if (last && (last as unknown as Counted).at > counted.at)
      return { write: [undefined, undefined], result: undefined };
    const after = addPoint(history as History | undefined, counted);
    return { write: [counted as unknown as Json, after as unknown as Json | undefined], result: undefined };
  });
  return counted;
}
