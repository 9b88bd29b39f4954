/** Certificates that a server issues for itself: a private authority, which hosts are configured to trust, and a certificate that it renews. */

import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { bits, octets, oid, sequence, set, tagged, time, utf8, whole, yes } from './der.ts';

/** `serial`: random bytes. `from`: the start of validity, minus a day for clocks that are behind. */
export type Making = Readonly<{ key: KeyObject; serial: Uint8Array; from: Date }>;

/** An authority, valid for thirty years, because replacing it means changing every host. PEM. */
export function makeAuthority({ key, serial, from }: Making): string {
  const name = nameOf(`Tandem fleet server ${createHash('sha256').update(keyBits(key)).digest('hex').slice(0, 8)}`);
  const extensions = [
    extension(BASIC_CONSTRAINTS, sequence(yes, whole(Buffer.from([0]))), true),
    // Key usage: signs certificates and revocation lists.
    extension(KEY_USAGE, bits(Buffer.from([0x06]), 1), true),
    extension(SUBJECT_KEY, octets(keyId(key))),
  ];
  return certificate({ key, serial, from, days: AUTHORITY_DAYS, issuer: name, subject: name, of: key, extensions });
}

/** A server certificate for these names and addresses, signed by its authority. PEM. */
export function makeCertificate(
  { key, serial, from }: Making,
  authority: Readonly<{ pem: string; key: KeyObject }>,
  names: readonly string[],
): string {
  const extensions = [
    extension(BASIC_CONSTRAINTS, sequence(), true),
    extension(KEY_USAGE, bits(Buffer.from([0x80]), 7), true),
    extension(EXTENDED_KEY_USAGE, sequence(oid('1.3.6.1.5.5.7.3.1'))),
    extension(ALTERNATIVE_NAMES, sequence(...names.map(alternativeName))),
    extension(SUBJECT_KEY, octets(keyId(key))),
    extension(AUTHORITY_KEY, sequence(tagged(0x80, keyId(authority.key)))),
  ];
  const issuer = nameOf(commonNameOf(authority.pem));
  const subject = nameOf(names[0] ?? '');
  return certificate({ key: authority.key, serial, from, days: DAYS, issuer, subject, of: key, extensions });
}

/** Whether a server certificate is valid for another month, for these names, and from this authority and key. */
export function isFresh(pem: string, authority: string, key: KeyObject, names: readonly string[], now: Date): boolean {
  const shown = new X509Certificate(pem);
  const [begins, ends] = [shown.validFromDate, shown.validToDate];
  return (
    shown.checkIssued(new X509Certificate(authority)) &&
    shown.checkPrivateKey(key) &&
    begins.getTime() <= now.getTime() &&
    ends.getTime() - now.getTime() > RENEW_DAYS * DAY &&
    names.every((name) => (isAddress(name) ? shown.checkIP(name) : shown.checkHost(name)) !== undefined)
  );
}

/** A key for `Making`. */
export const generateTlsKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

/** As printed by `openssl x509 -fingerprint -sha256`. */
export const fingerprintOf = (pem: string): string => new X509Certificate(pem).fingerprint256;

const AUTHORITY_DAYS = 30 * 365;
const DAYS = 90;
const RENEW_DAYS = 30;
const DAY = 86_400_000;

const BASIC_CONSTRAINTS = '2.5.29.19';
const KEY_USAGE = '2.5.29.15';
const EXTENDED_KEY_USAGE = '2.5.29.37';
const ALTERNATIVE_NAMES = '2.5.29.17';
const SUBJECT_KEY = '2.5.29.14';
const AUTHORITY_KEY = '2.5.29.35';
const ECDSA_WITH_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));

type Whole = Making &
  Readonly<{
    days: number;
    issuer: Uint8Array;
    subject: Uint8Array;
    /** The subject's public key. */
    of: KeyObject;
    extensions: readonly Uint8Array[];
  }>;

function certificate({ key, serial, from, days, issuer, subject, of, extensions }: Whole): string {
  const begins = new Date(from.getTime() - DAY);
  const validity = sequence(time(begins), time(new Date(from.getTime() + days * DAY)));
  // At most twenty bytes, positive and not zero.
  const number = whole(Buffer.from([0x40, ...serial.subarray(0, 15)]));
  const version3 = tagged(0xa0, whole(Buffer.from([2])));
  const publicKey = createPublicKey(of).export({ type: 'spki', format: 'der' });
  const rest = tagged(0xa3, sequence(...extensions));
  const signed = sequence(version3, number, ECDSA_WITH_SHA256, issuer, validity, subject, publicKey, rest);
  const der = sequence(signed, ECDSA_WITH_SHA256, bits(sign('sha256', signed, key)));
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

const nameOf = (commonName: string): Uint8Array =>
  sequence(set(sequence(oid('2.5.4.3'), utf8(commonName.slice(0, 64)))));

const commonNameOf = (pem: string): string => new X509Certificate(pem).subject.replace(/^CN=/, '');

const extension = (id: string, value: Uint8Array, isCritical = false): Uint8Array =>
  sequence(oid(id), ...(isCritical ? [yes] : []), octets(value));

const keyId = (key: KeyObject): Uint8Array => createHash('sha1').update(keyBits(key)).digest();

/** The point of the curve, at the end of a P-256 public key's encoding. */
const keyBits = (key: KeyObject): Uint8Array =>
  createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-65);

function alternativeName(name: string): Uint8Array {
  return isAddress(name) ? tagged(0x87, addressBytes(name)) : tagged(0x82, Buffer.from(name));
}

const isAddress = (name: string): boolean => name.includes(':') || /^\d+(\.\d+){3}$/.test(name);

function addressBytes(address: string): Uint8Array {
  if (!address.includes(':')) return Buffer.from(address.split('.').map(Number));
  // In a URL an address has a canonical form: lower case, no leading zeros, at most one gap.
  const [head = '', tail] = (URL.parse(`http://[${address}]`)?.hostname ?? '').slice(1, -1).split('::');
  const [first, last] = [head, tail ?? ''].map((part) => (part === '' ? [] : part.split(':')));
  const gap = Array<string>(8 - (first?.length ?? 0) - (last?.length ?? 0)).fill('0');
  const groups = [...(first ?? []), ...gap, ...(last ?? [])].map((group) => Number.parseInt(group, 16));
  return Buffer.from(groups.flatMap((group) => [group >> 8, group & 255]));
}
