/** Builds the delta files of a release, and adds them to the repository that has it. */

import { join } from 'node:path';
import { decodePool } from '../../bundle/decode/pool.ts';
import { buildBlocks } from '../../bundle/delta/blocks-build.ts';
import type { BuiltDelta } from '../../bundle/delta/delta-file.ts';
import { buildPatch } from '../../bundle/delta/patch-build.ts';
import { leavesOfBundle, type UnpackedRelease, unpackRelease } from '../../bundle/delta/unpack.ts';
import { imageOf, type Manifest, rootOf } from '../../bundle/manifest.ts';
import { openBundle } from '../../bundle/reader.ts';
import { asUpdateError, UpdateError } from '../../errors.ts';
import { fileSource } from '../../system/disk/file-source.ts';
import { createScratch, type Scratch } from '../../system/disk/scratch.ts';
import type { ReleaseEntry } from '../../verify/documents.ts';
import { releasePath, storedPath } from '../../verify/names.ts';
import { addDeltas, type NewDelta } from '../../verify/publish/deltas.ts';
import type { Alone, Site } from '../../verify/publish/publish.ts';
import { releasesIn } from '../../verify/publish/publisher.ts';
import { readRepository } from '../../verify/publish/repository.ts';
import type { Context } from '../command.ts';

/** The files to build: patches from these bundles, and a blocks file that knows the `known` ones; none without `known`. */
export type WantedDeltas = Readonly<{
  /** The bundle of the new release, as a file. */
  bundle: string;
  patchFrom: readonly string[];
  known?: readonly string[];
  /** Called for an older bundle that is missing or damaged, and skipped; without it, such a bundle fails the build. */
  without?: (message: string) => void;
}>;

/** Builds, which takes minutes, then signs everything at once as the only publisher. Returns the added files. */
export async function publishDeltas(
  context: Context,
  site: Site,
  wanted: WantedDeltas,
  alone: Alone,
): Promise<readonly NewDelta[]> {
  if (wanted.patchFrom.length === 0 && !wanted.known) return [];
  await using workshop = await openWorkshop(context, site);
  await using to = await unpack(workshop, wanted.bundle);
  const built: NewDelta[] = [];
  if (wanted.known) built.push(await blocksFile(workshop, to, wanted.known, wanted));
  for (const [index, path] of wanted.patchFrom.entries())
    built.push(...(await ifWhole(workshop, wanted, async () => [await patchFile(workshop, to, path, index)])));
  await alone((publisher) => addDeltas(publisher, built));
  return built;
}

/** The bundles of older releases for the same machines, newest first, as files. */
export async function olderBundles(
  { files, dir }: Site,
  release: ReleaseEntry,
  count: number,
): Promise<readonly string[]> {
  const repository = await readRepository(files, dir);
  const { product, architecture, counter } = release;
  const listed = repository.releases.document.signed.targets;
  return releasesIn(repository)
    .filter((one) => one.product === product && one.architecture === architecture && one.counter < counter)
    .sort((one, other) => other.counter - one.counter)
    .slice(0, count)
    .flatMap((one) => {
      const path = releasePath(one.product, one.version);
      const entry = listed.get(path);
      return entry ? [join(dir, storedPath(path, entry.hashes.sha256))] : [];
    });
}

type Workshop = Readonly<{
  context: Context;
  scratch: Scratch;
  pool: ReturnType<typeof decodePool>;
}> &
  AsyncDisposable;

/** Everything is built inside the repository's file system, so that publishing is a rename. */
async function openWorkshop(context: Context, { dir }: Site): Promise<Workshop> {
  await using held = new AsyncDisposableStack();
  const scratch = held.use(await createScratch(join(dir, 'delta')));
  const pool = held.use(decodePool({ entry: context.entry }));
  const kept = held.move();
  return { context, scratch, pool, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

async function unpack({ context, scratch, pool }: Workshop, path: string): Promise<UnpackedRelease> {
  await using source = await fileSource(path);
  return await unpackRelease(await openBundle(source, undefined, context.signal), pool, scratch, context.signal);
}

/** The result for an older bundle; empty if it fails and may be skipped. */
async function ifWhole<T>(
  { context }: Workshop,
  { without }: Pick<WantedDeltas, 'without'>,
  work: () => Promise<readonly T[]>,
): Promise<readonly T[]> {
  try {
    return await work();
  } catch (error) {
    context.signal.throwIfAborted();
    if (without === undefined) throw error;
    without(asUpdateError(error).message);
    return [];
  }
}

async function blocksFile(
  workshop: Workshop,
  to: UnpackedRelease,
  known: readonly string[],
  skips: Pick<WantedDeltas, 'without'>,
): Promise<NewDelta> {
  const { context, scratch } = workshop;
  const older: Uint8Array[] = [];
  for (const path of known)
    older.push(...(await ifWhole(workshop, skips, () => leavesOf(workshop, to.manifest, path))));
  const file = scratch.path('blocks');
  using bar = context.out.progress('Blocks for any version');
  const out = { path: file, files: context.files, scratch };
  const options = { signal: context.signal, progress: (done: number, total: number) => bar.update(done, total) };
  return newDelta(file, await buildBlocks(to, older, out, options), to, { kind: 'blocks' });
}

/** Empty if the salt differs: no block of such a release could be recognised. */
async function leavesOf({ pool, context }: Workshop, to: Manifest, path: string): Promise<readonly Uint8Array[]> {
  await using source = await fileSource(path);
  const bundle = await openBundle(source, undefined, context.signal);
  if (rootOf(bundle.manifest).verity.salt !== rootOf(to).verity.salt) return [];
  return [await leavesOfBundle(bundle, pool, context.signal)];
}

async function patchFile(workshop: Workshop, to: UnpackedRelease, path: string, index: number): Promise<NewDelta> {
  const { context, scratch } = workshop;
  await using from = await unpack(workshop, path);
  const { product, version } = from.manifest;
  if (product !== to.manifest.product)
    throw new UpdateError('usage', `${path} is a bundle of ${product}, not of ${to.manifest.product}.`);
  const file = scratch.path(`patch-${index}`);
  using bar = context.out.progress(`Patch from ${version}`);
  const progress = (done: number, total: number): void => bar.update(done, total);
  // Its own folder: the intermediate files of every patch have the same names.
  await using own = await createScratch(file);
  const out = { path: file, files: context.files, scratch: own };
  const built = await buildPatch(from, to, out, { signal: context.signal, progress });
  const uki = imageOf(from.manifest, 'uki');
  const { rootHash } = rootOf(from.manifest).verity;
  const origin = { version, rootHash, ...(uki ? { uki: uki.sha256 } : {}) };
  return newDelta(file, built, to, { kind: 'patch', from: origin });
}

function newDelta(
  file: string,
  { head, size, sha256 }: BuiltDelta,
  { manifest, manifestSha256 }: UnpackedRelease,
  what: Pick<NewDelta['entry'], 'kind' | 'from'>,
): NewDelta {
  const { product, version } = manifest;
  return { file, size, sha256, entry: { product, version, manifest: manifestSha256, head, ...what } };
}
