/** `repo add`: checks every byte of a bundle and publishes it. */

import { resolve } from 'node:path';
import { decodePool } from '../../bundle/decode/pool.ts';
import { manifestDigest, rootOf } from '../../bundle/manifest.ts';
import { auditBundle } from '../../bundle/publish/audit.ts';
import { openBundle } from '../../bundle/reader.ts';
import { asUpdateError } from '../../errors.ts';
import type { Sha256 } from '../../model.ts';
import { fileSource } from '../../system/disk/file-source.ts';
import type { ReleaseEntry } from '../../verify/documents.ts';
import type { NewDelta } from '../../verify/publish/deltas.ts';
import type { Alone, Site } from '../../verify/publish/publish.ts';
import { addBundle, type BundleFacts } from '../../verify/publish/publisher.ts';
import type { Command, Context, Input } from '../command.ts';
import { bytes } from '../units.ts';
import { olderBundles, publishDeltas } from './building-deltas.ts';
import { PUBLISHER_OPTIONS, publisherFrom } from './publishing.ts';

export const repoAdd: Command = {
  name: 'repo add',
  summary: 'check a bundle and publish it as a release',
  description:
    'Hosts see it once a channel offers it: `repo promote`. Besides the bundle, it publishes a file with the blocks that older ' +
    'releases lack, for hosts on any version, and patches for hosts on the latest releases; both take minutes of ' +
    'processor time per gigabyte. Repeating it changes nothing. Needs the keys releases, snapshot and timestamp.',
  examples: [
    'updatectl repo add acme-2.0.bundle --repository /srv/updates --keys ~/keys',
    'updatectl repo add acme-2.0.bundle --patch-from 3 --keys ~/keys',
    'updatectl repo add acme-2.0.bundle --patch-from 0 --no-blocks --keys ~/keys',
  ],
  arguments: [{ name: '<bundle>', summary: 'a bundle made by `bundle build`' }],
  options: [
    { flags: '--patch-from <count>', summary: 'make patches from this many of the latest releases', default: '1' },
    { flags: '--no-blocks', summary: 'make no blocks file for hosts on any version' },
    ...PUBLISHER_OPTIONS,
  ],
  run: async (context, input) => {
    const bundle = resolve(context.cwd(), input.argument(0));
    const { alone, ...site } = await publisherFrom(context, input);
    await using source = await fileSource(bundle);
    const content = source.open(0, context.signal);
    const candidate = {
      bytes: content,
      check: (path: string) => checkBundle(context, path, bundle),
      rootHashOf: (path: string) => rootHashOf(context, path),
    };
    const release = await addBundle(site, candidate, alone);
    context.out.line(`Published ${release.product} ${release.version} (counter ${release.counter}).`);
    const deltas = await addDeltasOf(context, input, { ...site, alone, release, bundle });
    for (const { entry, size } of deltas)
      context.out.line(
        `  ${entry.from ? `patch from ${entry.from.version}` : 'blocks for any version'}: ${bytes(size)}`,
      );
    context.out.line(`Offer it with \`updatectl repo promote ${release.version} --channel …\`.`);
    context.out.document({ ...release, deltas: deltas.map(({ entry, size }) => ({ ...entry, size })) });
    return 0;
  },
};

/** Deltas from older releases in the repository. The release is already published: a failure here costs hosts only bytes. */
async function addDeltasOf(
  context: Context,
  input: Input,
  { release, bundle, alone, ...site }: Site & Readonly<{ alone: Alone; release: ReleaseEntry; bundle: string }>,
): Promise<readonly NewDelta[]> {
  const patches = input.whole('patch-from', 0) ?? 0;
  const without = (message: string): void => context.out.warn(`No delta from an older release: ${message}`);
  try {
    const older = await olderBundles(site, release, Math.max(patches, KNOWN));
    const known = input.flag('blocks') ? { known: older.slice(0, KNOWN) } : {};
    const wanted = { bundle, patchFrom: older.slice(0, patches), ...known, without: once(without) };
    return await publishDeltas(context, site, wanted, alone);
  } catch (error) {
    context.signal.throwIfAborted();
    const { code, message } = asUpdateError(error);
    if (code === 'delta-unsupported') context.out.line(`Hosts download the whole image of this release. ${message}`);
    else
      context.out.warn(`Hosts download the whole image of this release until you run this command again. ${message}`);
    return [];
  }
}

/** Says each message once. */
function once(say: (message: string) => void): (message: string) => void {
  const said = new Set<string>();
  return (message) => {
    if (!said.has(message)) say(message);
    said.add(message);
  };
}

/** Releases that the blocks file knows: hosts on them download the fewest bytes. */
const KNOWN = 3;

/** Reads every byte of the copy before it is signed. */
async function checkBundle(context: Context, path: string, given: string): Promise<BundleFacts> {
  const { entry, signal } = context;
  await using source = await fileSource(path, given);
  const bundle = await openBundle(source, undefined, signal);
  const { product, version, counter, architecture, minAgent, images } = bundle.manifest;
  const total = images.reduce((sum, image) => sum + image.size, 0);
  using bar = context.out.progress('Checking');
  await using pool = decodePool({ entry });
  let done = 0;
  const progress = (count: number): void => {
    done += count;
    bar.update(done, total);
  };
  await auditBundle(bundle, { decode: pool.map, signal, progress });
  const manifest = { sha256: manifestDigest(bundle.manifestBytes), size: bundle.manifestBytes.length };
  const { rootHash } = rootOf(bundle.manifest).verity;
  return { product, version, counter, architecture, minAgent, manifest, rootHash };
}

async function rootHashOf({ signal }: Context, path: string): Promise<Sha256 | undefined> {
  try {
    await using source = await fileSource(path);
    return rootOf((await openBundle(source, undefined, signal)).manifest).verity.rootHash;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
