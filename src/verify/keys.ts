/** Signing keys: their form in metadata, their ids, signing and verifying. */

import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { canonicalize } from '@tufjs/canonical-json';

/** An ed25519 public key as in metadata. */
export type PublicKey = Readonly<{ keytype: 'ed25519'; scheme: 'ed25519'; keyval: Readonly<{ public: string }> }>;

export interface Signer {
  /** SHA-256 of the public key's canonical JSON. */
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

/** The signed bytes: the canonical form of a JSON value. */
export const canonicalBytes = (value: unknown): Uint8Array => Buffer.from(canonicalize(value));

/** A key's id in metadata. */
export const keyIdOf = (key: PublicKey): string => createHash('sha256').update(canonicalBytes(key)).digest('hex');

/** A signer with its private key in this process. */
export function localSigner(key: KeyObject): Signer {
  const publicKey = publicKeyOf(key);
  return { keyId: keyIdOf(publicKey), publicKey, sign: async (bytes) => sign(null, bytes, key) };
}

/** Whether `signature` is valid for these bytes and this key. */
export function signatureFits(key: PublicKey, bytes: Uint8Array, signature: Uint8Array): boolean {
  const x = Buffer.from(key.keyval.public, 'hex').toString('base64url');
  const object = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return verify(null, bytes, object, signature);
}
