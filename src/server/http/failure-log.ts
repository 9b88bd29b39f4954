/** What the log says of requests that failed: each failure once a minute, however many it meets. */

import type { ErrorCode } from '../../errors.ts';
import type { Log } from '../../system/log.ts';
import { isOutage } from '../store/watched.ts';

export type FailureLog = (code: ErrorCode, message: string, url: string) => void;

/** An outage of the store is logged where it begins and ends, and not here. */
export function createFailureLog(log: Log, now: () => Date): FailureLog {
  const told = new Map<string, { at: number; unsaid: number }>();
  return (code, message, url) => {
    const failure = `${code} ${message}`;
    const at = now().getTime();
    const last = told.get(failure);
    const isKnown = last !== undefined && Math.abs(at - last.at) < REST_MS;
    if (isKnown) last.unsaid += 1;
    if (isKnown || isOutage(code)) return log.debug({ code, url }, message);
    log.error({ code, url, ...(last?.unsaid ? { unsaid: last.unsaid } : {}) }, message);
    told.delete(failure);
    told.set(failure, { at, unsaid: 0 });
    const [oldest] = told.size > MOST ? told.keys() : [];
    if (oldest !== undefined) told.delete(oldest);
  };
}

const REST_MS = 60_000;
const MOST = 100;
