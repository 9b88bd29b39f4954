/** Installs a release into the free slot. All refusals come before the first write; a slot is named only after its read-back. */

import type { ByteSource } from '../../bundle/byte-source.ts';
import type { DecodePool } from '../../bundle/decode/pool.ts';
import { imageReader } from '../../bundle/image-reader.ts';
import { imageOf, type Manifest, rootOf } from '../../bundle/manifest.ts';
import { type Bundle, type ExpectedManifest, openBundle } from '../../bundle/reader.ts';
import { UpdateError } from '../../errors.ts';
import type { Release, Sha256, SlotName } from '../../model.ts';
import type { ProgressStatus } from '../../protocol.ts';
import type { Kernels } from '../../reboot/kernels/kernels.ts';
import type { IncomingUki } from '../../reboot/kernels/uki-file.ts';
import type { BlockTarget } from '../../system/disk/block-target.ts';
import type { RangeSource } from '../../system/http/mirrors.ts';
import type { Log } from '../../system/log.ts';
import type { TrustedDelta } from '../../verify/deltas.ts';
import type { Prepared } from '../loop/parts.ts';
import { fullSize, installDelta } from './delta/delta-install.ts';
import { createTransfer, type Transfer } from './delta/transfer.ts';
import type { DeltaWorld, RemoteFile } from './delta/world.ts';
import { installImage, isPresent, readBackDigest, readBackRoot } from './image-install.ts';
import { leavesOn } from './leaves.ts';

/** The free slot, held open exclusively. */
export interface OpenSlot extends AsyncDisposable {
  readonly root: BlockTarget;
  /** Absent if the tree is appended to the root image. */
  readonly verity?: BlockTarget;
  /** Removes the slot's names, so that no boot entry finds it. */
  neutralise(): Promise<void>;
  /** Names it after the root hash of the read-back. */
  name(rootHash: Sha256): Promise<void>;
}

/** Reports progress, by the phase of an installation. */
export type Phase = ProgressStatus['phase'];
export type Told = (phase: Phase, done: number, total: number) => void;

/** A readable release. `mirrors` are the places of its bundle, to be read by ranges. */
export type FoundRelease = Readonly<{
  source: ByteSource;
  mirrors?: readonly RangeSource[];
  expected: ExpectedManifest;
  deltas?: readonly TrustedDelta[];
  openDelta?(delta: TrustedDelta): Promise<RemoteFile>;
}> &
  Partial<AsyncDisposable>;

/** The parts that the installer needs. */
export type InstallerWorld = Readonly<{
  /** The bundle of a release, the manifest digest in its signed metadata, and its deltas. */
  find(release: Release, signal: AbortSignal): Promise<FoundRelease>;
  openSlot(target: SlotName): Promise<OpenSlot>;
  kernels: Kernels;
  /** The root hash of the running system's boot entry. */
  runningRootHash(): Promise<Sha256 | undefined>;
  pool(): DecodePool;
  /** Without it, the full image is always downloaded. */
  delta?: DeltaWorld;
  /** Counts the bytes. */
  transfer?: Transfer;
  told: Told;
  log: Log;
}>;

/** Opens the bundle and the slot, and checks that they fit. Disposing the result closes both. */
export async function prepareInstall(
  world: InstallerWorld,
  release: Release,
  target: SlotName,
  signal: AbortSignal,
): Promise<Prepared> {
  await using held = new AsyncDisposableStack();
  const found = await world.find(release, signal);
  held.defer(async () => found[Symbol.asyncDispose]?.());
  const transfer = world.transfer ?? createTransfer(STILL, undefined);
  const bundle = await openBundle(transfer.counted(found.source), found.expected, signal);
  mustBe(release, bundle.manifest);
  await mustDiffer(world, bundle.manifest);
  const uki = incomingUki(bundle.manifest);
  const slot = held.use(await world.openSlot(target));
  mustFit(slot, bundle.manifest);
  // An unusable kernel is found while the slot can still start with its old one.
  await world.kernels.checkRoom(target, uki.size);
  await world.kernels.checkFit(target, uki, await imageReader(bundle, 'uki', signal));
  const kept = held.move();
  return {
    write: () => write({ world, target, found, transfer, bundle, uki, slot, signal }),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** The signed metadata and the signed manifest must agree. */
function mustBe(release: Release, manifest: Manifest): void {
  const same =
    manifest.product === release.product &&
    manifest.version === release.version &&
    (release.counter === undefined || manifest.counter === release.counter);
  if (same) return;
  const found = `${manifest.product} ${manifest.version} (${manifest.counter})`;
  const wanted = `${release.product} ${release.version} (${release.counter ?? '?'})`;
  throw new UpdateError('wrong-product', `The manifest is for ${found}; the metadata names ${wanted}.`);
}

/** Boot entries find their slot by its root hash: two slots with one hash could not be distinguished. */
async function mustDiffer(world: InstallerWorld, manifest: Manifest): Promise<void> {
  const { rootHash } = rootOf(manifest).verity;
  if ((await world.runningRootHash()) === rootHash)
    throw new UpdateError('same-root', `The root image of ${manifest.version} is already running (${rootHash}).`);
}

function mustFit(slot: OpenSlot, manifest: Manifest): void {
  const root = rootOf(manifest);
  const verity = imageOf(manifest, 'verity');
  if (verity && !slot.verity)
    throw new UpdateError(
      'partition-missing',
      'The release has a separate verity tree, but the slot has no partition for it.',
    );
  for (const [image, device] of [[root, slot.root] as const, [verity, slot.verity] as const])
    if (image && device && image.size > device.size)
      throw new UpdateError(
        'slot-too-small',
        `The ${image.role} image has ${image.size} bytes, but ${device.name} has only ${device.size}.`,
      );
}

/** The release's kernel, from its manifest. */
function incomingUki(manifest: Manifest): IncomingUki {
  const { version } = manifest;
  const uki = imageOf(manifest, 'uki');
  if (!uki) throw new UpdateError('uki-invalid', `Release ${version} has no kernel image.`);
  return { version, size: uki.size, sha256: uki.sha256, rootHash: rootOf(manifest).verity.rootHash };
}

type Job = Readonly<{
  world: InstallerWorld;
  target: SlotName;
  found: FoundRelease;
  transfer: Transfer;
  bundle: Bundle;
  uki: IncomingUki;
  slot: OpenSlot;
  signal: AbortSignal;
}>;

async function write(job: Job): Promise<void> {
  const { world, bundle, slot, signal } = job;
  const { rootHash } = rootOf(bundle.manifest).verity;
  await slot.neutralise();
  await using pool = world.pool();
  if (!(await assemble(job, pool))) {
    job.transfer.begin('full');
    job.transfer.planned(fullSize(bundle), job.found.source.name);
    await writeSlot(job, pool);
    await readBackSlot(world, bundle.manifest, slot, pool, signal);
  }
  await writeUki(job, pool);
  await slot.name(rootHash);
  await world.delta?.cache.keepOnly([]);
  world.log.info(
    { version: bundle.manifest.version, rootHash, ...job.transfer.status() },
    'the slot holds the release',
  );
}

/** Whether the slot could be filled from data on this host. */
async function assemble({ world, found, ...job }: Job, pool: DecodePool): Promise<boolean> {
  const { delta, told, log } = world;
  const { source, mirrors = [source], deltas = [], openDelta } = found;
  if (!delta || !openDelta) return false;
  return installDelta({
    ...job,
    world: delta,
    kernels: world.kernels,
    deltas,
    openDelta,
    bundleFile: { source, mirrors },
    pool,
    told,
    log,
  });
}

/** The tree first: with it, every block of the root is checked in transit, and correct blocks in the slot are found. */
async function writeSlot({ world, transfer, bundle, slot, signal }: Job, pool: DecodePool): Promise<void> {
  const root = rootOf(bundle.manifest);
  const verity = imageOf(bundle.manifest, 'verity');
  const total = root.size + (verity?.size ?? 0);
  const before = verity?.size ?? 0;
  if (verity && slot.verity) {
    const tree = { bundle, image: verity, target: slot.verity, pool, signal };
    if (!(await isPresent(tree)))
      await installImage({ ...tree, progress: (done) => world.told('download', done, total) });
  }
  const kept = await installImage({
    bundle,
    image: root,
    target: slot.root,
    pool,
    signal,
    progress: (done) => world.told('download', before + done, total),
    ...(slot.verity ? { leaves: leavesOn(slot.verity, root) } : {}),
    // An abandoned tier has left its correct blocks anywhere in the slot.
    ...(transfer.status().fallen.length > 0 ? { patience: Number.POSITIVE_INFINITY } : {}),
  });
  transfer.begin('full').kept = kept;
  world.log.info({ kept, written: root.size - kept }, 'image written');
}

async function readBackSlot(
  world: InstallerWorld,
  manifest: Manifest,
  slot: OpenSlot,
  pool: DecodePool,
  signal: AbortSignal,
): Promise<void> {
  const root = rootOf(manifest);
  const verity = imageOf(manifest, 'verity');
  if (verity && slot.verity) await readBackDigest({ image: verity, target: slot.verity, signal });
  const progress = (done: number): void => world.told('read-back', done, root.size);
  // The root hash alone does not cover a tree that is part of the image.
  if (!verity) await readBackDigest({ image: root, target: slot.root, signal });
  await readBackRoot({ image: root, target: slot.root, pool, signal, progress });
}

async function writeUki({ world: { kernels }, target, bundle, uki, signal }: Job, pool: DecodePool): Promise<void> {
  if (await kernels.adoptPart(target, uki)) return;
  await kernels.removeParts();
  const table = await bundle.frameTable('uki', signal);
  async function* jobs() {
    for await (const frame of bundle.compressedFrames('uki', table, signal)) yield { frame };
  }
  async function* chunks() {
    for await (const { bytes } of pool.map(jobs())) yield bytes;
  }
  await kernels.put(target, uki, chunks());
}

/** For an installer whose speed is not measured. */
const STILL = { monotonicMs: () => 0 };
