/** A store whose outages are logged: one line when it goes, and one when it is back, however many ask meanwhile. */

import { asUpdateError } from '../errors.ts';
import type { Log } from '../system/log.ts';
import type { Store } from './store.ts';

/** Whether a failure means that the whole store is out of reach, for everybody alike. */
export const isOutage = (code: string): boolean =>
  code.startsWith('etcd-') || code === 'store-full' || code === 'store-unwritable' || code === 'store-damaged';

export function watchedStore(store: Store, log: Log, now: () => Date): Store {
  let outage: { code: string; since: number; refused: number } | undefined;
  const back = (): void => {
    if (!outage) return;
    const seconds = Math.round((now().getTime() - outage.since) / 1000);
    log.info({ code: outage.code, refused: outage.refused, seconds }, 'the store answers again');
    outage = undefined;
  };
  const gone = (error: unknown): void => {
    const { code, message } = asUpdateError(error);
    if (!isOutage(code)) return;
    if (outage?.code !== code) log.error({ code }, `${message} Until it does, requests are refused.`);
    outage = { code, since: outage?.since ?? now().getTime(), refused: (outage?.refused ?? 0) + 1 };
  };
  const watched = async <T>(work: Promise<T>): Promise<T> => {
    try {
      const result = await work;
      back();
      return result;
    } catch (error) {
      gone(error);
      throw error;
    }
  };
  return {
    read: (key) => watched(store.read(key)),
    list: (kind, limit, after) => watched(store.list(kind, limit, after)),
    count: (kind) => watched(store.count(kind)),
    update: (keys, change) => watched(store.update(keys, change)),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}
