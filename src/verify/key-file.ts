/** Key files: PKCS#8 PEM, encrypted if a passphrase is given; and public keys as JSON. */

import { createPrivateKey, type KeyObject } from 'node:crypto';
import { UpdateError } from '../errors.ts';
import { publicKeyShape, readDocument } from './documents.ts';
import { generateKey, localSigner, type PublicKey, type Signer } from './keys.ts';

/** A new private key as a key file. */
export const newKeyFile = (passphrase?: string): string => {
  const plain = { type: 'pkcs8', format: 'pem' } as const;
  const key = generateKey();
  return String(
    passphrase === undefined ? key.export(plain) : key.export({ ...plain, cipher: 'aes-256-cbc', passphrase }),
  );
};

export const isEncrypted = (pem: string): boolean => pem.includes('BEGIN ENCRYPTED PRIVATE KEY');

/** The signer of a key file; `name` is for messages. */
export function keyFileSigner(pem: string, name: string, passphrase?: string): Signer {
  if (isEncrypted(pem) && passphrase === undefined)
    throw new UpdateError('key-passphrase', `${name} is encrypted and no passphrase was given.`);
  const key = privateKey(pem, name, passphrase);
  if (key.asymmetricKeyType !== 'ed25519')
    throw new UpdateError('key-invalid', `${name} holds a key of type ${key.asymmetricKeyType}, not ed25519.`);
  return localSigner(key);
}

/** A public key as a file. */
export const publicKeyFile = (key: PublicKey): string => `${JSON.stringify(key, null, 2)}\n`;

/** Parses a public key file. */
export const readPublicKey = (bytes: Uint8Array, name: string): PublicKey =>
  readDocument(bytes, 4096, 'key-invalid', name, publicKeyShape);

function privateKey(pem: string, name: string, passphrase: string | undefined): KeyObject {
  try {
    return createPrivateKey({ key: pem, format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (error) {
    if (isEncrypted(pem)) throw new UpdateError('key-passphrase', `The passphrase does not open ${name}.`);
    throw new UpdateError('key-invalid', `${name} is not a PKCS#8 private key in PEM.`, { cause: error });
  }
}
