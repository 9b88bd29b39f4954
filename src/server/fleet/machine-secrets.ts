/** Whose machine an id is: who uses it first shows a secret, and from then on the id is his until an operator says otherwise. Pure. */

import { hash } from 'node:crypto';

/** What came with a request beside its body; `from` is the address that it came from. */
export type Shown = Readonly<{ secret?: string; hardware?: string; machine?: string; from?: string }>;

/** `maySilent`: who shows nothing is believed, as an older agent is that knows of no secrets. */
export type SecretRules = Readonly<{ maySilent: boolean }>;

export type Strange = 'machine-secret-wrong' | 'machine-secret-missing';

/** Why who asks is not taken for the machine; undefined where nothing speaks against it. */
export function strangerTo(
  machine: Readonly<{ secret?: string }> | undefined,
  { secret }: Shown,
  { maySilent }: SecretRules,
): Strange | undefined {
  if (machine?.secret === undefined) return undefined;
  if (secret === undefined) return maySilent ? undefined : 'machine-secret-missing';
  // It has 256 random bits: nobody comes nearer to it by timing how its digest is compared, and nothing slower than SHA-256 is needed.
  return secretDigest(secret) === machine.secret ? undefined : 'machine-secret-wrong';
}

export const secretDigest = (secret: string): string => hash('sha256', secret, 'base64url');

/** A system on trial may fall back to an agent that knows of no secrets: it would be refused when it says that. */
export const boundBy = ({ secret }: Shown, confirmed: boolean): string | undefined =>
  secret !== undefined && confirmed ? secretDigest(secret) : undefined;
