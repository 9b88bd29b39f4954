/** Binds an id to a secret: the first one presented owns the id until an operator resets it. Pure. */

import { hash } from 'node:crypto';

/** The identity headers of a request; `from` is its source address. */
export type Shown = Readonly<{ secret?: string; hardware?: string; machine?: string; from?: string }>;

/** `maySilent`: hosts without a secret are accepted, like older agents that have none. */
export type SecretRules = Readonly<{ maySilent: boolean }>;

export type Strange = 'machine-secret-wrong' | 'machine-secret-missing';

/** Why the sender is not accepted as the machine; undefined if it is. */
export function strangerTo(
  machine: Readonly<{ secret?: string }> | undefined,
  { secret }: Shown,
  { maySilent }: SecretRules,
): Strange | undefined {
  if (machine?.secret === undefined) return undefined;
  if (secret === undefined) return maySilent ? undefined : 'machine-secret-missing';
  // With 256 random bits, neither a timing attack on the comparison nor a fast hash matters.
  return secretDigest(secret) === machine.secret ? undefined : 'machine-secret-wrong';
}

export const secretDigest = (secret: string): string => hash('sha256', secret, 'base64url');

/** A system on trial may fall back to an older agent without secrets, which would then be refused when it reports that. */
export const boundBy = ({ secret }: Shown, confirmed: boolean): string | undefined =>
  secret !== undefined && confirmed ? secretDigest(secret) : undefined;
