/** `repo init`: creates an empty repository and its keys. */

import { join, resolve } from 'node:path';
import { UpdateError } from '../../errors.ts';
import type { PublicKey } from '../../verify/keys.ts';
import { metadataPath, type RoleName } from '../../verify/names.ts';
import { initRepository, type RoleKeys } from '../../verify/publish/init.ts';
import type { Command, Context, Input } from '../command.ts';
import { makeKey, passphraseFrom, publicKeyFrom, signersFrom } from './key-files.ts';
import { insistedOn, lifetimes, locked, PUBLISHER_OPTIONS, repositoryFolder, warnOfClock } from './publishing.ts';

/** These sign automatically, from a timer; the others belong under lock and key. */
const ONLINE: ReadonlySet<RoleName> = new Set(['snapshot', 'timestamp']);

export const repoInit: Command = {
  name: 'repo init',
  summary: 'create an empty repository and its keys',
  description:
    'Creates keys in the folder --keys: root-1 … root-n, targets, releases, channels, snapshot, timestamp. Existing key files ' +
    'are used, so that a root key can come from elsewhere: put only its .pub.json there and pass its --signer. Afterwards, ' +
    'move the root and targets keys to a safe place: only a change of keys needs them. Keep the releases key offline as well, where releases ' +
    'are signed, the channels key with the operators who roll them out, and the snapshot and timestamp keys with the timer.',
  examples: ['updatectl repo init --repository /srv/updates --keys ~/keys --root-keys 3 --root-threshold 2 --encrypt'],
  options: [
    ...PUBLISHER_OPTIONS.map((option) => (option.flags.startsWith('--keys') ? { ...option, required: true } : option)),
    { flags: '--root-keys <n>', summary: 'how many root keys', default: '1' },
    { flags: '--root-threshold <m>', summary: 'how many of them must sign a new root', default: '1' },
    { flags: '--encrypt', summary: 'protect all keys except snapshot and timestamp with a passphrase' },
  ],
  run: async (context, input) => {
    const dir = repositoryFolder(context, input);
    await context.files.makeDir(dir);
    await warnOfClock(context);
    const init = async (): Promise<number> => {
      const roles = await roleKeys(context, input);
      const signers = await signersFrom(context, input);
      const { files, clock } = context;
      const as = { signers, lifetimeDays: lifetimes(input), insists: insistedOn(input) };
      await initRepository({ files, dir, now: clock.now(), ...as }, roles);
      report(context, dir, input.given('keys'));
      return 0;
    };
    return locked(context, dir, init, input.whole('wait'));
  },
};

async function roleKeys(context: Context, input: Input): Promise<RoleKeys> {
  const folder = resolve(context.cwd(), input.given('keys'));
  await context.files.makeDir(folder);
  const passphrase = await newPassphrase(context, input);
  const count = input.whole('root-keys', 1) ?? 1;
  const threshold = input.whole('root-threshold', 1) ?? 1;
  const keysOf = async (role: RoleName, names: readonly string[]): Promise<PublicKey[]> => {
    const keys: PublicKey[] = [];
    for (const name of names)
      keys.push(await existingOrNew(context, join(folder, name), ONLINE.has(role) ? undefined : passphrase));
    return keys;
  };
  const one = async (role: RoleName) => ({ keys: await keysOf(role, [role]), threshold: 1 });
  const roots = Array.from({ length: count }, (_, index) => `root-${index + 1}`);
  return {
    root: { keys: await keysOf('root', roots), threshold },
    targets: await one('targets'),
    releases: await one('releases'),
    channels: await one('channels'),
    snapshot: await one('snapshot'),
    timestamp: await one('timestamp'),
  };
}

async function newPassphrase(context: Context, input: Input): Promise<string | undefined> {
  if (!input.flag('encrypt')) return undefined;
  const passphrase = await passphraseFrom(context, input, true);
  if (passphrase === undefined) throw new UpdateError('key-passphrase', '--encrypt needs a passphrase.');
  return passphrase;
}

async function existingOrNew(context: Context, path: string, passphrase: string | undefined): Promise<PublicKey> {
  const known = await context.files.read(`${path}.pub.json`);
  return known === undefined ? makeKey(path, passphrase) : publicKeyFrom(context, `${path}.pub.json`);
}

function report(context: Context, dir: string, keys: string): void {
  const root = join(dir, metadataPath('root', 1));
  context.out.line(`The repository ${dir} is ready; its keys are in ${keys}.`);
  context.out.line(`Put ${root} into your images as /usr/share/tandem/root.json.`);
  context.out.line('Then move the root and targets keys to a safe place.');
  context.out.document({ schema: 1, repository: dir, keys, root });
}
