/** What the agent says of what a check found, and of how an attempt ended. */

import type { Saved } from '../model.ts';
import type { Status } from '../protocol.ts';
import type { Found } from './parts.ts';

/** What a check found, in a few words. */
export function resultOf(found: Found): string {
  if (found.found === 'offer') return `${found.release.version} is on offer`;
  if (found.found === 'present') return `${found.release.version} lies in the other slot, whole`;
  return found.reason;
}

/** Why the last attempt failed, and what happens next. */
export function failureOf(saved: Saved): Status['lastError'] {
  if (saved.state.kind !== 'settling') return undefined;
  const { outcome } = saved.state;
  if (outcome.result === 'none' || outcome.result === 'updated') return undefined;
  const next = outcome.refuse
    ? `It is refused; lift that with \`updatectl forget ${outcome.release.version}\`.`
    : 'The next check tries again.';
  return { code: outcome.code, message: outcome.reason, next, at: saved.since };
}
