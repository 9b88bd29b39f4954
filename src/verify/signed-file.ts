/** Metadata files: signing, and verifying signatures. */

import { createHash } from 'node:crypto';
import { UpdateError } from '../errors.ts';
import type { Sha256 } from '../model.ts';
import { canonicalBytes, type PublicKey, type Signer, signatureFits } from './keys.ts';

export type Holders = Readonly<{ keyids: readonly string[]; threshold: number }>;

/** A metadata file with `signed`, signed by all given signers. */
export async function signFile(signed: object, signers: readonly Signer[]): Promise<Uint8Array> {
  const bytes = canonicalBytes(signed);
  const signatures = [];
  for (const signer of signers)
    signatures.push({ keyid: signer.keyId, sig: Buffer.from(await signer.sign(bytes)).toString('hex') });
  return Buffer.from(`${JSON.stringify({ signatures, signed })}\n`);
}

/** The `signers` that hold keys of the role; throws if there are too few. */
export function signersFor(role: string, holders: Holders, signers: readonly Signer[]): Signer[] {
  const fitting = signers.filter((signer) => holders.keyids.includes(signer.keyId));
  const unique = [...new Map(fitting.map((signer) => [signer.keyId, signer])).values()];
  if (unique.length >= holders.threshold) return unique;
  const ids = holders.keyids.map((id) => id.slice(0, 12)).join(', ');
  throw new UpdateError(
    'key-unknown',
    `The role ${role} needs ${holders.threshold} of its keys (${ids}); ${unique.length} were given.`,
  );
}

/** The `signers` that together satisfy each set of holders. */
export function signersForAll(role: string, holders: readonly Holders[], signers: readonly Signer[]): Signer[] {
  const all = holders.flatMap((set) => signersFor(role, set, signers));
  return [...new Map(all.map((signer) => [signer.keyId, signer])).values()];
}

/** The ids of `keys` with a valid signature on the file. */
export function signedBy(file: Uint8Array, keys: ReadonlyMap<string, PublicKey>): Set<string> {
  const { signed, signatures } = JSON.parse(Buffer.from(file).toString('utf8')) as Envelope;
  const bytes = canonicalBytes(signed);
  const valid = signatures.filter(({ keyid, sig }) => {
    const key = keys.get(keyid);
    return key !== undefined && signatureFits(key, bytes, Buffer.from(sig, 'hex'));
  });
  return new Set(valid.map(({ keyid }) => keyid));
}

/** The digest of the signed part: a root stays the same when signatures are added. */
export const signedDigest = (file: Uint8Array): Sha256 =>
  digest(canonicalBytes((JSON.parse(Buffer.from(file).toString('utf8')) as Envelope).signed));

/** SHA-256 of bytes in memory. */
export const digest = (bytes: Uint8Array): Sha256 => createHash('sha256').update(bytes).digest('hex') as Sha256;

type Envelope = { signed: unknown; signatures: { keyid: string; sig: string }[] };
