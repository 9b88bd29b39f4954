/** Whether the last error of a host still stands in its way. Pure. */

import { ERRORS, EXIT, isErrorCode } from '../errors.ts';
import type { Failure, Status } from '../protocol.ts';

/** The last error, unless a check since has shown that it is over: the repository has answered, or nothing newer is there to fail at. */
export function standingError({ lastError, lastCheck, lastGoodCheck = '' }: Status): Failure | undefined {
  if (lastError === undefined || lastGoodCheck <= lastError.at) return lastError;
  return lastCheck?.code === 'up-to-date' || isOfRepository(lastError.code) ? undefined : lastError;
}

/** Out of reach, or not to be believed: an answer that was believed ends both. */
function isOfRepository(code: string): boolean {
  const exit = isErrorCode(code) ? ERRORS[code].exit : undefined;
  return exit === EXIT.network || exit === EXIT.trust;
}
