/** Key files on the command line: creating them, and turning them into signers. */

import { basename, join, resolve } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { readStream } from '../../system/files.ts';
import { createSecretFile, isReadableByOthers } from '../../system/process/secret-file.ts';
import { askSecret } from '../../system/process/secret-prompt.ts';
import { isEncrypted, keyFileSigner, newKeyFile, publicKeyFile, readPublicKey } from '../../verify/key-file.ts';
import { keyIdOf, type PublicKey, type Signer } from '../../verify/keys.ts';
import { externalSigner } from '../../verify/publish/external-signer.ts';
import type { Context, Input, OptionSpec } from '../command.ts';

export const PASSPHRASE_OPTION: OptionSpec = {
  flags: '--passphrase-file <file>',
  summary: 'file with the passphrase of encrypted keys; default: TANDEM_PASSPHRASE, then a prompt',
};

/** Options of every command that signs. */
export const SIGNER_OPTIONS: readonly OptionSpec[] = [
  { flags: '--keys <folder>', summary: 'use all key files in this folder' },
  { flags: '--key <file>', summary: 'use this key file', repeat: true },
  {
    flags: '--signer <public=program>',
    summary: 'sign with a program: bytes in, hex signature out; its public key file goes before the “=”',
    repeat: true,
  },
  PASSPHRASE_OPTION,
];

/** All signers on the command line. Encrypted keys are opened at their first use. */
export async function signersFrom(context: Context, input: Input): Promise<Signer[]> {
  const passphrase = once(() => passphraseFrom(context, input, false));
  const folder = input.text('keys');
  const files = [...(folder === undefined ? [] : await keyFilesIn(context, folder)), ...input.list('key')];
  const signers: Signer[] = [];
  for (const file of files) signers.push(await fileSigner(context, file, passphrase));
  for (const given of input.list('signer')) signers.push(await programSigner(context, given));
  return signers;
}

/** The signer of one key file. */
export async function fileSigner(
  context: Context,
  file: string,
  passphrase: () => Promise<string | undefined>,
): Promise<Signer> {
  const path = resolve(context.cwd(), file);
  const pem = Buffer.from(await bytesOf(path)).toString('utf8');
  if (await isReadableByOthers(path)) context.out.warn(`Other users can read ${file}: chmod 600 it.`);
  if (!isEncrypted(pem)) return keyFileSigner(pem, file);
  const open = once(async () => keyFileSigner(pem, file, await passphrase()));
  const publicBytes = await context.files.read(publicPath(path));
  if (publicBytes === undefined) return open();
  const publicKey = readPublicKey(publicBytes, publicPath(file));
  return {
    keyId: keyIdOf(publicKey),
    publicKey,
    sign: async (bytes) => checked(await open(), publicKey, file).sign(bytes),
  };
}

/** Creates `<path>.pem` and `<path>.pub.json`; a key is never overwritten. */
export async function makeKey(path: string, passphrase: string | undefined): Promise<PublicKey> {
  const pem = newKeyFile(passphrase);
  const { publicKey } = keyFileSigner(pem, path, passphrase);
  if (!(await createSecretFile(`${path}.pem`, pem)))
    throw new UpdateError('usage', `${path}.pem already exists; keys are never overwritten.`);
  await createSecretFile(`${path}.pub.json`, publicKeyFile(publicKey), 0o644);
  return publicKey;
}

/** The passphrase, from the file, the environment or the terminal. With `isNew`, the terminal asks twice. */
export async function passphraseFrom(context: Context, input: Input, isNew: boolean): Promise<string | undefined> {
  const file = input.text('passphrase-file');
  if (file !== undefined) {
    const bytes = await bytesOf(resolve(context.cwd(), file));
    return notEmpty(
      Buffer.from(bytes)
        .toString('utf8')
        .replace(/\r?\n$/, ''),
    );
  }
  const variable = context.env('TANDEM_PASSPHRASE');
  if (variable !== undefined) return notEmpty(variable);
  if (!context.out.isTerminal) return undefined;
  const typed = await askSecret('Passphrase: ');
  if (!isNew || typed === undefined) return typed;
  if ((await askSecret('Repeat: ')) !== typed) throw new UpdateError('key-passphrase', 'The two passphrases differ.');
  return notEmpty(typed);
}

/** A public key file. */
export async function publicKeyFrom(context: Context, file: string): Promise<PublicKey> {
  return readPublicKey(await bytesOf(resolve(context.cwd(), file)), file);
}

async function keyFilesIn(context: Context, folder: string): Promise<string[]> {
  const names = await context.files.list(resolve(context.cwd(), folder));
  return names.filter((name) => name.endsWith('.pem')).map((name) => join(folder, name));
}

async function programSigner(context: Context, given: string): Promise<Signer> {
  const [, file, command] = /^([^=]+)=(.+)$/.exec(given) ?? [];
  if (file === undefined || command === undefined)
    throw new UpdateError(
      'usage',
      `--signer takes a public key file and a program, such as release.pub.json=/usr/bin/sign, not “${given}”.`,
    );
  const [program = '', ...args] = command.split(' ').filter((word) => word !== '');
  return externalSigner(context.exec, { program, args }, await publicKeyFrom(context, file));
}

async function bytesOf(path: string): Promise<Uint8Array> {
  const bytes = await readStream(path);
  if (bytes === undefined) throw new UpdateError('key-invalid', `${path} does not exist.`);
  if (bytes.length > 65_536) throw new UpdateError('key-invalid', `${basename(path)} is too large for a key file.`);
  return bytes;
}

const publicPath = (path: string): string => path.replace(/\.pem$/, '.pub.json');

function checked(signer: Signer, publicKey: PublicKey, file: string): Signer {
  if (signer.keyId === keyIdOf(publicKey)) return signer;
  throw new UpdateError('key-invalid', `${file} and ${publicPath(file)} are not the two halves of one key.`);
}

function notEmpty(passphrase: string): string {
  if (passphrase === '') throw new UpdateError('key-passphrase', 'The passphrase is empty.');
  return passphrase;
}

/** Asks only once. */
function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | undefined;
  return () => {
    answer ??= ask();
    return answer;
  };
}
