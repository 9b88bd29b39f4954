/** A store whose outages are logged: one line when it goes, and one when it is back, however many ask meanwhile. */

import { asUpdateError } from '../errors.ts';
import type { Log } from '../system/log.ts';
import type { Store } from './store.ts';

/** Whether a failure means that the whole store is out of reach, for everybody alike. */
export const isOutage = (code: string): boolean => code.startsWith('etcd-') || WHOLE.has(code);

const WHOLE = new Set(['store-full', 'store-unwritable', 'store-damaged', 'store-newer']);

export function watchedStore(store: Store, log: Log, now: () => Date): Store {
  let outage: { code: string; since: number; refused: number } | undefined;
  /** A store whose disk is full is still read: it is back when all that failed works again. */
  const failing = new Set<Way>();
  const back = (way: Way): void => {
    failing.delete(way);
    if (!outage || failing.size > 0) return;
    const seconds = Math.round((now().getTime() - outage.since) / 1000);
    log.info({ code: outage.code, refused: outage.refused, seconds }, 'the store answers again');
    outage = undefined;
  };
  const gone = (way: Way, error: unknown): void => {
    const { code, message } = asUpdateError(error);
    if (!isOutage(code)) return;
    failing.add(way);
    if (outage?.code !== code) log.error({ code }, `${message} Until it does, requests are refused.`);
    outage = { code, since: outage?.since ?? now().getTime(), refused: (outage?.refused ?? 0) + 1 };
  };
  const watched = async <T>(way: Way, work: Promise<T>): Promise<T> => {
    try {
      const result = await work;
      back(way);
      return result;
    } catch (error) {
      gone(way, error);
      throw error;
    }
  };
  return {
    read: (key) => watched('reading', store.read(key)),
    list: (kind, limit, after) => watched('reading', store.list(kind, limit, after)),
    count: (kind) => watched('reading', store.count(kind)),
    update: (keys, change) => watched('writing', store.update(keys, change)),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

type Way = 'reading' | 'writing';
