/** Shared by all commands that change a repository: its folder, the lock, the signers, the lifetimes. */

import { join, resolve } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { PRODUCT_PATTERN, type Product, VERSION_PATTERN, type Version } from '../../model.ts';
import { suggestion } from '../../nearest-word.ts';
import { isClockSynchronised } from '../../system/clock-sync.ts';
import { takeLock } from '../../system/process/lock-file.ts';
import { ROLE_NAMES, type RoleName } from '../../verify/names.ts';
import { INSISTABLE, type Insistable } from '../../verify/publish/insist.ts';
import type { Alone, Publisher, Site } from '../../verify/publish/publish.ts';
import { LIFETIME_DAYS } from '../../verify/publish/signing-time.ts';
import type { Context, Input, OptionSpec } from '../command.ts';
import { SIGNER_OPTIONS, signersFrom } from './key-files.ts';

export const REPOSITORY_OPTION: OptionSpec = {
  flags: '--repository <folder>',
  summary: 'the folder of the repository',
  default: '.',
};

export const PRODUCT_OPTION: OptionSpec = {
  flags: '--product <name>',
  summary: 'the product, if several have this version',
};

export const INSIST_OPTION: OptionSpec = {
  flags: '--insist <code>',
  summary: `do it despite the refusal with this code: ${INSISTABLE.join(', ')}`,
  repeat: true,
};

/** Options of every command that publishes. */
export const PUBLISHER_OPTIONS: readonly OptionSpec[] = [
  REPOSITORY_OPTION,
  ...SIGNER_OPTIONS,
  {
    flags: '--expires <role=days>',
    summary: `days until a role's signature expires (${Object.entries(LIFETIME_DAYS)
      .map(([role, days]) => `${role} ${days}`)
      .join(', ')})`,
    repeat: true,
  },
  { flags: '--wait <seconds>', summary: 'how long to wait for another publisher', default: '10' },
  INSIST_OPTION,
];

/** The folder of the repository. */
export const repositoryFolder = (context: Context, input: Input): string =>
  resolve(context.cwd(), input.given('repository'));

/** Runs a task as the only publisher of the repository. */
export async function publishing<T>(
  context: Context,
  input: Input,
  task: (publisher: Publisher) => Promise<T>,
): Promise<T> {
  return (await publisherFrom(context, input)).alone(task);
}

/** Where to publish, and how to be the only publisher, for no longer than publishing takes. */
export async function publisherFrom(context: Context, input: Input): Promise<Site & Readonly<{ alone: Alone }>> {
  const site = { files: context.files, dir: repositoryFolder(context, input) };
  await mustBeThere(context, site.dir);
  const signers = await signersFrom(context, input);
  const as = { signers, lifetimeDays: lifetimes(input), insists: insistedOn(input) };
  await warnOfClock(context);
  const alone: Alone = (task) =>
    locked(context, site.dir, () => task({ ...site, now: context.clock.now(), ...as }), input.whole('wait'));
  return { ...site, alone };
}

/** Creates nothing in a folder without a repository. */
async function mustBeThere({ files }: Context, dir: string): Promise<void> {
  if ((await files.list(join(dir, 'metadata'))).length > 0) return;
  throw new UpdateError('repository-missing', `${dir} is not a repository.`);
}

/** Signed metadata contains its signing time and its expiry. */
export async function warnOfClock({ exec, out }: Context): Promise<void> {
  if ((await isClockSynchronised(exec)) === false)
    out.warn('This clock is not synchronised, and signatures are dated by it: see `timedatectl`.');
}

/** Holds the repository's lock during a task; waits for another publisher for a few seconds. */
export async function locked<T>(context: Context, dir: string, task: () => Promise<T>, seconds = 10): Promise<T> {
  const { clock, signal } = context;
  for (const until = clock.monotonicMs() + seconds * 1000; ; await clock.sleep(AGAIN_MS, signal)) {
    const lock = await takeLock(join(dir, '.publisher.lock'));
    if (!('heldBy' in lock)) {
      await using _ = lock;
      return await task();
    }
    if (clock.monotonicMs() >= until)
      throw new UpdateError('repository-locked', `Another publisher is working on ${dir}: ${lock.heldBy}.`);
  }
}

const AGAIN_MS = 100;

/** The lifetimes given with `--expires`. */
export function lifetimes(input: Input): Partial<Record<RoleName, number>> {
  return Object.fromEntries(
    input.list('expires').map((given) => {
      const [name = '', days = ''] = given.split('=');
      if (!/^[1-9]\d{0,4}$/.test(days)) throw new UpdateError('usage', `--expires takes role=days, not “${given}”.`);
      return [roleFrom(name), Number(days)];
    }),
  );
}

/** The refusals given with `--insist`. */
export const insistedOn = (input: Input): ReadonlySet<Insistable> =>
  new Set(
    input.list('insist').map((given) => {
      const found = INSISTABLE.find((one) => one === given);
      if (found !== undefined) return found;
      throw new UpdateError(
        'usage',
        `--insist takes ${INSISTABLE.join(', ')}, not “${given}”.${suggestion(given, INSISTABLE)}`,
      );
    }),
  );

/** A role by its name. */
export function roleFrom(name: string): RoleName {
  const role = ROLE_NAMES.find((one) => one === name);
  if (role === undefined)
    throw new UpdateError('usage', `“${name}” is not a role; the roles are ${ROLE_NAMES.join(', ')}.`);
  return role;
}

/** A version as typed. */
export function versionFrom(text: string): Version {
  if (!VERSION_PATTERN.test(text)) throw new UpdateError('usage', `“${text}” cannot be a version.`);
  return text as Version;
}

/** A product as typed, where one was. */
export function productFrom(input: Input): Product | undefined {
  const text = input.text('product');
  if (text !== undefined && !PRODUCT_PATTERN.test(text))
    throw new UpdateError('usage', `“${text}” cannot be a product.`);
  return text as Product | undefined;
}
