/** Certificates that the server makes: OpenSSL accepts them, and nothing but the names that they are for. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isFresh, makeAuthority, makeCertificate } from '../../../src/server/access/certificate.ts';
import { temporaryFolder } from '../../support/bundles.ts';

const NOW = new Date('2030-06-01T00:00:00Z');
const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const serial = (fill: number) => new Uint8Array(16).fill(fill);
const after = (days: number) => new Date(NOW.getTime() + days * 86_400_000);
const NAMES = ['updates.example', '192.0.2.1', '2001:db8::17', '::1'];

function made(names = NAMES, from = NOW) {
  const authorityKey = newKey();
  const authority = makeAuthority({ key: authorityKey, serial: serial(0xff), from });
  const key = newKey();
  const pem = makeCertificate({ key, serial: serial(0), from }, { pem: authority, key: authorityKey }, names);
  return { authority, authorityKey, key, pem };
}

test('OpenSSL takes the chain at its strictest, for the names that it is for and no others', async () => {
  await using folder = await temporaryFolder();
  const { authority, pem } = made();
  const [ca, leaf] = [join(folder.path, 'ca.pem'), join(folder.path, 'leaf.pem')];
  writeFileSync(ca, authority);
  writeFileSync(leaf, pem);
  const verify = (...more: string[]) =>
    String(
      execFileSync(
        'openssl',
        [
          'verify',
          '-x509_strict',
          '-purpose',
          'sslserver',
          '-attime',
          String(NOW.getTime() / 1000),
          '-CAfile',
          ca,
          ...more,
          leaf,
        ],
        {
          stdio: ['ignore', 'pipe', 'ignore'],
        },
      ),
    );
  assert.match(verify('-verify_hostname', 'updates.example'), /: OK/);
  for (const ip of NAMES.slice(1)) assert.match(verify('-verify_ip', ip), /: OK/, ip);
  assert.throws(() => verify('-verify_hostname', 'other.example'));
  assert.throws(() => verify('-verify_ip', '192.0.2.2'));
  writeFileSync(ca, made().authority);
  assert.throws(() => verify());
  const text = String(execFileSync('openssl', ['x509', '-in', leaf, '-noout', '-text']));
  assert.match(text, /CA:FALSE/);
  assert.match(text, /Digital Signature\n/);
});

test('whatever the names and the moment, what is made can be read back as it was meant', () => {
  const label = fc.stringMatching(/^[a-z][a-z0-9]{0,20}$/);
  const anyName = fc.oneof(
    label,
    fc.tuple(label, label).map((both) => both.join('.')),
    fc.ipV4(),
    fc.ipV6(),
  );
  fc.assert(
    fc.property(
      fc.array(anyName, { minLength: 1, maxLength: 12 }),
      fc.date({ min: new Date('1971-01-01T00:00:00Z'), max: new Date('2069-12-31T00:00:00Z'), noInvalidDate: true }),
      (names, moment) => {
        const from = new Date(Math.floor(moment.getTime() / 1000) * 1000);
        const { authority, key, pem } = made(names, from);
        assert.equal(new X509Certificate(pem).validToDate.getTime(), from.getTime() + 90 * 86_400_000);
        assert.ok(isFresh(pem, authority, key, names, from));
      },
    ),
    { numRuns: 60 },
  );
});

test('it is renewed a month before its end, and when anything about it is another', () => {
  const { authority, key, pem } = made();
  const fresh = (names: readonly string[], now: Date, by = authority, its = key) => isFresh(pem, by, its, names, now);
  assert.ok(fresh(NAMES, NOW) && fresh(NAMES, after(59)) && fresh(['updates.example'], NOW));
  assert.ok(!fresh(NAMES, after(61)) && !fresh(NAMES, after(100)) && !fresh(NAMES, after(-2)));
  assert.ok(!fresh([...NAMES, 'new.example'], NOW));
  assert.ok(!fresh(NAMES, NOW, made().authority) && !fresh(NAMES, NOW, authority, newKey()));
});

test('the authority outlives the hosts that trust it', () => {
  const { authority } = made();
  const shown = new X509Certificate(authority);
  assert.ok(shown.ca && shown.validToDate > after(29 * 365));
  assert.ok(shown.verify(shown.publicKey));
});
