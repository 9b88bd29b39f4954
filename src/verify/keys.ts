/** Signing keys: what a public key looks like in metadata, its id, and the one way to sign and to check. */

import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { canonicalize } from '@tufjs/canonical-json';

/** An ed25519 public key as metadata writes it. */
export type PublicKey = Readonly<{ keytype: 'ed25519'; scheme: 'ed25519'; keyval: Readonly<{ public: string }> }>;

export interface Signer {
  /** SHA-256 of the canonical JSON of the public key. */
  readonly keyId: string;
  readonly publicKey: PublicKey;
  /** 64 bytes. */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

/** A new ed25519 private key. */
export const generateKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey;

/** The public key of 64 hex digits. */
export const publicKeyFromHex = (hex: string): PublicKey => ({
  keytype: 'ed25519',
  scheme: 'ed25519',
  keyval: { public: hex },
});

/** The public half of a private (or public) key. */
export function publicKeyOf(key: KeyObject): PublicKey {
  const jwk = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' });
  return publicKeyFromHex(Buffer.from(jwk.x ?? '', 'base64url').toString('hex'));
}

/** What a signature covers: the one canonical form of a JSON value. */
export const canonicalBytes = (value: unknown): Uint8Array => Buffer.from(canonicalize(value));

/** The name of a key in metadata. */
export const keyIdOf = (key: PublicKey): string => createHash('sha256').update(canonicalBytes(key)).digest('hex');

/** A signer whose private key is in this process. */
export function localSigner(key: KeyObject): Signer {
  const publicKey = publicKeyOf(key);
  return { keyId: keyIdOf(publicKey), publicKey, sign: async (bytes) => sign(null, bytes, key) };
}

/** Does `signature` belong to these bytes and this key? */
export function signatureFits(key: PublicKey, bytes: Uint8Array, signature: Uint8Array): boolean {
  const x = Buffer.from(key.keyval.public, 'hex').toString('base64url');
  const object = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return verify(null, bytes, object, signature);
}
