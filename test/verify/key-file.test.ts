/** A key file is what it says it is, or it is refused by name. */

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { keyFileSigner, readPublicKey } from '../../src/verify/key-file.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const pem = (type: 'ed25519' | 'x25519', passphrase?: string): string => {
  // The compiler knows one shape of options for each type.
  const { privateKey } = type === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('x25519');
  const locked = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase };
  return privateKey.export({ type: 'pkcs8', format: 'pem', ...locked }).toString();
};

test('a private key is refused where it is of another kind, or none', () => {
  assert.throws(() => keyFileSigner(pem('x25519'), 'k'), { code: 'key-invalid', message: /x25519, not ed25519/ });
  assert.throws(() => keyFileSigner('-----BEGIN PRIVATE KEY-----\nxx\n', 'k'), { code: 'key-invalid' });
});

test('an encrypted key needs its passphrase, and the right one', () => {
  const locked = pem('ed25519', 'open sesame');
  assert.throws(() => keyFileSigner(locked, 'k'), { code: 'key-passphrase' });
  assert.throws(() => keyFileSigner(locked, 'k', 'open'), { code: 'key-passphrase' });
  assert.equal(keyFileSigner(locked, 'k', 'open sesame').publicKey.keytype, 'ed25519');
});

test('a public key file is refused where it is not one', () => {
  for (const text of [
    '',
    '{}',
    '{"keytype":"rsa"}',
    `{"keytype":"ed25519","scheme":"ed25519","keyval":{"public":"00"}}`,
  ])
    assert.throws(() => readPublicKey(utf8(text), 'k.pub'), { code: 'key-invalid' }, text);
});
