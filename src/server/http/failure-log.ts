/** Logs failed requests: each failure at most once a minute, however many requests it affects. */

import type { ErrorCode } from '../../errors.ts';
import type { Log } from '../../system/log.ts';
import { isOutage } from '../store/watched.ts';

export type FailureLog = (code: ErrorCode, message: string, url: string) => void;

/** Outages of the store are logged elsewhere, when they begin and end. `unsaid` counts the repeats that were not logged. */
export function createFailureLog(log: Log, now: () => Date): FailureLog {
  const logged = new Map<string, { at: number; unsaid: number }>();
  return (code, message, url) => {
    const failure = `${code} ${message}`;
    const at = now().getTime();
    const last = logged.get(failure);
    const isKnown = last !== undefined && Math.abs(at - last.at) < REST_MS;
    if (isKnown) last.unsaid += 1;
    if (isKnown || isOutage(code)) return log.debug({ code, url }, message);
    log.error({ code, url, ...(last?.unsaid ? { unsaid: last.unsaid } : {}) }, message);
    logged.delete(failure);
    logged.set(failure, { at, unsaid: 0 });
    const [oldest] = logged.size > MOST ? logged.keys() : [];
    if (oldest !== undefined) logged.delete(oldest);
  };
}

const REST_MS = 60_000;
const MOST = 100;
