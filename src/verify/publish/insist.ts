/** Refusals that a publisher can override: mistakes that are sometimes intended. */

import { type ErrorCode, UpdateError } from '../../errors.ts';

/** Overridable refusals, each by its own code: overriding one leaves the others in force. */
export const INSISTABLE = [
  'clock-behind',
  'expiry-earlier',
  'lifetime-too-long',
  'role-expired',
  'channel-new',
  'release-named',
  'root-hash-known',
  'rollout-doubtful',
] as const satisfies readonly ErrorCode[];

export type Insistable = (typeof INSISTABLE)[number];

/** The codes that the publisher overrides. */
export type Insisting = Readonly<{ insists?: ReadonlySet<Insistable> }>;

/** Throws the refusal unless the publisher overrides it. */
export function refuse({ insists }: Insisting, code: Insistable, message: string): void {
  if (!insists?.has(code)) throw new UpdateError(code, message);
}
