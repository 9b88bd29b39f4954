/** Whether the last error of a host is still an obstacle. Pure. */

import { ERRORS, EXIT, isErrorCode } from '../errors.ts';
import type { Failure, Status } from '../protocol.ts';

/** The last error, unless a later check shows that it is over: the repository answered, or there is nothing newer to fail at. */
export function standingError({ lastError, lastCheck, lastGoodCheck = '' }: Status): Failure | undefined {
  if (lastError === undefined || lastGoodCheck <= lastError.at) return lastError;
  return lastCheck?.code === 'up-to-date' || isOfRepository(lastError.code) ? undefined : lastError;
}

/** Unreachable or untrusted: a trusted answer ends both. */
function isOfRepository(code: string): boolean {
  const exit = isErrorCode(code) ? ERRORS[code].exit : undefined;
  return exit === EXIT.network || exit === EXIT.trust;
}
