/** A store that logs outages: one line at the start and one at the end, however many requests fail and however it flaps. */

import { asUpdateError } from '../../errors.ts';
import type { Log } from '../../system/log.ts';
import type { Store } from './store.ts';

/** Whether a failure means that the whole store is unreachable, for all clients alike. */
export const isOutage = (code: string): boolean => code.startsWith('etcd-') || WHOLE.has(code);

const WHOLE = new Set(['store-full', 'store-unwritable', 'store-damaged', 'store-newer']);

/** Called after each write, with its result. */
export type LastWrite = Readonly<{ at: number; isDone: boolean }>;

export type WatchedStore = Store & Readonly<{ lastWrite(): LastWrite | undefined }>;

export function watchedStore(store: Store, log: Log, now: () => Date): WatchedStore {
  let outage: { code: string; since: number; toldAt: number; lastAt: number; refused: number } | undefined;
  let lastWrite: LastWrite | undefined;
  /** A store with a full disk is still readable; the outage ends when everything that failed works again. */
  const failing = new Set<Way>();
  const back = (way: Way): void => {
    failing.delete(way);
    const at = now().getTime();
    if (way === 'writing') lastWrite = { at, isDone: true };
    if (!outage || failing.size > 0 || at - outage.lastAt < REST_MS) return;
    const seconds = Math.round((outage.lastAt - outage.since) / 1000);
    log.info({ code: outage.code, refused: outage.refused, seconds }, 'the store answers again');
    outage = undefined;
  };
  const gone = (way: Way, error: unknown): void => {
    const { code, message } = asUpdateError(error);
    if (!isOutage(code)) return;
    failing.add(way);
    const at = now().getTime();
    if (way === 'writing') lastWrite = { at, isDone: false };
    const isNews = outage === undefined || (outage.code !== code && at - outage.toldAt >= REST_MS);
    if (isNews) log.error({ code }, `${message} Until it does, requests are refused.`);
    outage ??= { code, since: at, toldAt: at, lastAt: at, refused: 0 };
    if (isNews) Object.assign(outage, { code, toldAt: at });
    Object.assign(outage, { lastAt: at, refused: outage.refused + 1 });
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
    lastWrite: () => lastWrite,
    read: (key) => watched('reading', store.read(key)),
    list: (kind, limit, after) => watched('reading', store.list(kind, limit, after)),
    count: (kind) => watched('reading', store.count(kind)),
    update: (keys, change) => watched('writing', store.update(keys, change)),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

type Way = 'reading' | 'writing';

/** An outage ends after this long without a failure: a flapping store counts as unreachable. */
const REST_MS = 30_000;
