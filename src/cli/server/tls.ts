/** The HTTPS certificate of a fleet server: a given one, or one that it creates and renews itself. */

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { join, resolve } from 'node:path';
import { UpdateError } from '../../errors.ts';
import {
  fingerprintOf,
  generateTlsKey,
  isFresh,
  makeAuthority,
  makeCertificate,
} from '../../server/access/certificate.ts';
import { removeFile, replaceFile } from '../../system/files.ts';
import { createSecretFile } from '../../system/process/secret-file.ts';
import type { Context, Input, OptionSpec } from '../command.ts';
import { readGiven } from '../given-file.ts';

export const TLS_OPTIONS: readonly OptionSpec[] = [
  { flags: '--tls-cert <file>', summary: 'its certificate and chain (PEM)' },
  { flags: '--tls-key <file>', summary: 'the key of the certificate (PEM)' },
  {
    flags: '--tls-own <folder>',
    summary: 'create a certificate, kept and renewed in this folder; hosts trust its ca.pem',
  },
  {
    flags: '--tls-name <name>',
    summary: 'a name or address of the server in that certificate; may be repeated',
    repeat: true,
  },
];

export type Identity = Readonly<{ key: Uint8Array; cert: Uint8Array }>;
export type Tls = Readonly<{
  /** The current certificate: renewed if it is about to expire, or read again from the given files. */
  identity(): Promise<Identity>;
  /** How hosts can trust it, if they do not yet. */
  hint?: string;
}>;

/** Undefined for unencrypted HTTP. `host` is the address that the server listens on. */
export async function tlsFrom(context: Context, input: Input, host: string): Promise<Tls | undefined> {
  const [cert, key, own] = [input.text('tls-cert'), input.text('tls-key'), input.text('tls-own')];
  if ((cert === undefined) !== (key === undefined))
    throw new UpdateError('usage', 'Pass --tls-cert and --tls-key together.');
  if (own === undefined && input.list('tls-name').length > 0)
    throw new UpdateError('usage', '--tls-name needs --tls-own.');
  if (cert !== undefined && key !== undefined) {
    if (own !== undefined) throw new UpdateError('usage', 'Pass either a certificate or --tls-own.');
    return { identity: () => givenIdentity(context, cert, key) };
  }
  if (own === undefined) return undefined;
  const folder = resolve(context.cwd(), own);
  const names = namesFrom(input.list('tls-name'), host);
  const { authority } = await authorityIn(context, folder);
  const hint = `To trust this server, hosts need a copy of ${join(folder, 'ca.pem')} as ca_file (SHA-256 ${fingerprintOf(authority)}).`;
  return { identity: () => ownIdentity(context, folder, names), hint };
}

async function givenIdentity(context: Context, certFile: string, keyFile: string): Promise<Identity> {
  const [cert, key] = [await readGiven(context, certFile), await readGiven(context, keyFile)];
  if (!belongTogether(cert, key))
    throw new UpdateError('tls-invalid', `${certFile} and ${keyFile} are not a certificate and its key.`);
  return { cert, key };
}

function belongTogether(cert: Uint8Array, key: Uint8Array): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(Buffer.from(key)));
  } catch {
    return false;
  }
}

/** A server that listens on all addresses does not know its own name. */
function namesFrom(given: readonly string[], host: string): readonly string[] {
  const wrong = given.find((name) => !NAME.test(name));
  if (wrong !== undefined) throw new UpdateError('usage', `“${wrong}” cannot be the name of a server.`);
  const isEverywhere = /^(0\.0\.0\.0|\[?::\]?)$/.test(host);
  if (given.length === 0 && isEverywhere)
    throw new UpdateError('usage', '--tls-own needs --tls-name, the name that hosts use for this server.');
  return [...new Set([...given, ...(isEverywhere ? [] : [host]), 'localhost', '127.0.0.1', '::1'])];
}

const NAME = /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,62})(\.|$))+(?<!\.)$|^[\da-f]*:[\da-f:.]*$/i;

/** The key is written first: a certificate that hosts already trust could not be renewed without it. */
async function authorityIn(
  context: Context,
  folder: string,
): Promise<Readonly<{ authority: string; authorityKey: KeyObject }>> {
  const { files, random, clock } = context;
  await files.makeDir(folder);
  const [path, keyPath] = [join(folder, 'ca.pem'), join(folder, 'ca.key')];
  const kept = await readText(context, path);
  if (kept !== undefined && !belongTogether(Buffer.from(kept), (await files.read(keyPath)) ?? new Uint8Array()))
    throw new UpdateError('tls-invalid', `${path} and ${keyPath} are not a certificate and its key.`);
  const authorityKey = await keyIn(context, keyPath);
  const authority = kept ?? makeAuthority({ key: authorityKey, serial: random.bytes(16), from: clock.now() });
  if (kept === undefined) await replaceFile(files, path, Buffer.from(authority));
  return { authority, authorityKey };
}

async function ownIdentity(context: Context, folder: string, names: readonly string[]): Promise<Identity> {
  const { files, random, clock } = context;
  const { authority, authorityKey } = await authorityIn(context, folder);
  const [path, keyPath] = [join(folder, 'server.pem'), join(folder, 'server.key')];
  const key = await keyIn(context, keyPath);
  const now = clock.now();
  let pem = await readText(context, path);
  if (pem === undefined || !isUsable(() => isFresh(pem ?? '', authority, key, names, now))) {
    pem = makeCertificate({ key, serial: random.bytes(16), from: now }, { pem: authority, key: authorityKey }, names);
    await replaceFile(files, path, Buffer.from(pem));
  }
  return { cert: Buffer.from(pem + authority), key: pemOf(key) };
}

/** The key in a file, or a new one: a file torn by a power cut has never been used. */
async function keyIn(context: Context, path: string): Promise<KeyObject> {
  const kept = await readText(context, path);
  if (kept !== undefined && isUsable(() => createPrivateKey(kept).asymmetricKeyType === 'ec'))
    return createPrivateKey(kept);
  const key = generateTlsKey();
  if (kept !== undefined) await removeFile(context.files, path);
  if (await createSecretFile(path, String(pemOf(key)))) return key;
  // Another server was quicker.
  return createPrivateKey((await readText(context, path)) ?? '');
}

const pemOf = (key: KeyObject): Buffer => Buffer.from(key.export({ type: 'pkcs8', format: 'pem' }));

/** Unreadable means unusable. */
function isUsable(look: () => boolean): boolean {
  try {
    return look();
  } catch {
    return false;
  }
}

async function readText({ files }: Context, path: string): Promise<string | undefined> {
  const bytes = await files.read(path);
  return bytes && new TextDecoder().decode(bytes);
}
