/** The agent's words for the result of a check, and for the end of an attempt. */

import { ERRORS, isErrorCode, type UpdateError } from '../errors.ts';
import type { Outcome, Saved } from '../model.ts';
import type { Failure, Status } from '../protocol.ts';
import type { Found } from './loop/parts.ts';

/** The result of a check, in a few words. */
export function resultOf(found: Found): Omit<NonNullable<Status['lastCheck']>, 'at'> {
  if (found.found === 'offer') return { result: `${found.release.version} is on offer`, code: 'offer' };
  if (found.found === 'present')
    return { result: `${found.release.version} is intact in the other slot`, code: 'present' };
  const until = found.found === 'nothing' ? found.until : undefined;
  return { result: found.reason, code: found.code, ...(until === undefined ? {} : { until }) };
}

/** Why the last attempt failed, and what happens next. */
export function failureOf(saved: Saved): Status['lastError'] {
  if (saved.state.kind !== 'settling') return undefined;
  const { outcome } = saved.state;
  if (outcome.result === 'none' || outcome.result === 'updated') return undefined;
  return { code: outcome.code, message: outcome.reason, next: nextAfter(outcome), at: saved.since };
}

/** The next step for an operator, or what happens automatically. */
function nextAfter({ result, code, refuse, release }: Exclude<Outcome, { result: 'none' | 'updated' }>): string {
  if (refuse) return `It is refused; \`updatectl forget ${release.version}\` lifts the refusal.`;
  const again = 'The next check tries again.';
  return result === 'failed' && isErrorCode(code) ? `${ERRORS[code].next} ${again}` : again;
}

/** The current error: a state that cannot be saved, or else the last failure. */
export function errorNow(
  trouble: UpdateError | undefined,
  { since }: Saved,
  last: Status['lastError'],
): Pick<Status, 'lastError'> {
  const shown = trouble ? shownError(trouble, since) : last;
  return shown ? { lastError: shown } : {};
}

export const shownError = ({ code, message, entry }: UpdateError, at: string): Failure => ({
  code,
  message,
  next: entry.next,
  at,
});
