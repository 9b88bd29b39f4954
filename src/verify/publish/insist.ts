/** What a publisher is kept from as long as he does not insist on it: mistakes that are sometimes meant. */

import { type ErrorCode, UpdateError } from '../../errors.ts';

/** Refusals that may be overruled, each by its own code: who insists on one thing is still kept from the others. */
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

/** On what the publisher insists. */
export type Insisting = Readonly<{ insists?: ReadonlySet<Insistable> }>;

/** Throws the refusal unless the publisher insists. */
export function refuse({ insists }: Insisting, code: Insistable, message: string): void {
  if (!insists?.has(code)) throw new UpdateError(code, message);
}
