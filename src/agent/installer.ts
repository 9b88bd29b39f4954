/** Installs a release into the free slot: everything that can be refused is, before the first write; a slot is named only after its read-back. */

import type { ByteSource } from '../bundle/byte-source.ts';
import type { DecodePool } from '../bundle/decode-pool.ts';
import { imageOf, type Manifest, rootOf } from '../bundle/manifest.ts';
import { type Bundle, type ExpectedManifest, openBundle } from '../bundle/reader.ts';
import { UpdateError } from '../errors.ts';
import type { Release, Sha256, SlotName, Version } from '../model.ts';
import type { BlockTarget } from '../system/block-target.ts';
import type { Log } from '../system/log.ts';
import { installImage, isPresent, readBackDigest, readBackRoot } from './image-install.ts';
import { leavesOn } from './leaves.ts';
import type { Prepared } from './parts.ts';

/** The free slot, held open exclusively. */
export interface OpenSlot extends AsyncDisposable {
  readonly root: BlockTarget;
  /** Absent where the tree is appended to the root image. */
  readonly verity?: BlockTarget;
  /** Takes the slot's names away, so that no boot entry finds it. */
  neutralise(): Promise<void>;
  /** Names it by the root hash that was read back. */
  name(rootHash: Sha256): Promise<void>;
}

export type IncomingUki = Readonly<{ version: Version; size: number; sha256: Sha256; rootHash: Sha256 }>;

/** The phases of an installation, as progress is told. */
export type Phase = 'download' | 'read-back';
export type Told = (phase: Phase, done: number, total: number) => void;

/** What the installer is handed. */
export type InstallerWorld = Readonly<{
  /** Where the bundle of a release lies, and the manifest that its signed metadata promises. */
  find(
    release: Release,
    signal: AbortSignal,
  ): Promise<Readonly<{ source: ByteSource & Partial<AsyncDisposable>; expected: ExpectedManifest }>>;
  openSlot(target: SlotName): Promise<OpenSlot>;
  checkEspRoom(target: SlotName, size: number): Promise<void>;
  putUki(uki: IncomingUki, chunks: AsyncIterable<Uint8Array>): Promise<void>;
  /** The root hash of the running system's boot entry. */
  runningRootHash(): Promise<Sha256 | undefined>;
  pool(): DecodePool;
  told: Told;
  log: Log;
}>;

/** Opens the bundle and the slot and checks that they fit. Disposing what it returns gives both up. */
export async function prepareInstall(
  world: InstallerWorld,
  release: Release,
  target: SlotName,
  signal: AbortSignal,
): Promise<Prepared> {
  await using held = new AsyncDisposableStack();
  const { source, expected } = await world.find(release, signal);
  held.defer(async () => source[Symbol.asyncDispose]?.());
  const bundle = await openBundle(source, expected, signal);
  mustBe(release, bundle.manifest);
  await mustDiffer(world, bundle.manifest);
  const slot = held.use(await world.openSlot(target));
  mustFit(slot, bundle.manifest);
  const uki = imageOf(bundle.manifest, 'uki');
  if (uki) await world.checkEspRoom(target, uki.size);
  const kept = held.move();
  return {
    write: () => write(world, bundle, slot, signal),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** The signed metadata and the signed manifest must tell the same story. */
function mustBe(release: Release, manifest: Manifest): void {
  const same =
    manifest.product === release.product &&
    manifest.version === release.version &&
    (release.counter === undefined || manifest.counter === release.counter);
  if (same) return;
  const found = `${manifest.product} ${manifest.version} (${manifest.counter})`;
  const wanted = `${release.product} ${release.version} (${release.counter ?? '?'})`;
  throw new UpdateError('wrong-product', `The manifest is of ${found}; the metadata promises ${wanted}.`);
}

/** Boot entries find their slot by its root hash: two slots with one hash could not be told apart. */
async function mustDiffer(world: InstallerWorld, manifest: Manifest): Promise<void> {
  const { rootHash } = rootOf(manifest).verity;
  if ((await world.runningRootHash()) === rootHash)
    throw new UpdateError(
      'same-root',
      `The root image of ${manifest.version} is the one that is running (${rootHash}).`,
    );
}

function mustFit(slot: OpenSlot, manifest: Manifest): void {
  const root = rootOf(manifest);
  const verity = imageOf(manifest, 'verity');
  if (verity && !slot.verity)
    throw new UpdateError(
      'partition-missing',
      'The release has a verity tree of its own, and the slot no partition for it.',
    );
  for (const [image, device] of [[root, slot.root] as const, [verity, slot.verity] as const])
    if (image && device && image.size > device.size)
      throw new UpdateError(
        'slot-too-small',
        `The ${image.role} image has ${image.size} bytes, ${device.name} has ${device.size}.`,
      );
}

async function write(world: InstallerWorld, bundle: Bundle, slot: OpenSlot, signal: AbortSignal): Promise<void> {
  const { rootHash } = rootOf(bundle.manifest).verity;
  await slot.neutralise();
  await using pool = world.pool();
  await writeSlot(world, bundle, slot, pool, signal);
  await readBackSlot(world, bundle.manifest, slot, pool, signal);
  await writeUki(world, bundle, pool, rootHash, signal);
  await slot.name(rootHash);
  world.log.info({ version: bundle.manifest.version, rootHash }, 'the slot holds the release');
}

/** The tree first: with it at hand, every block of the root is checked on its way, and what lies there already is found. */
async function writeSlot(
  world: InstallerWorld,
  bundle: Bundle,
  slot: OpenSlot,
  pool: DecodePool,
  signal: AbortSignal,
): Promise<void> {
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
  });
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
  // A tree that is part of the image is not covered by the root hash alone.
  if (!verity) await readBackDigest({ image: root, target: slot.root, signal });
  await readBackRoot({ image: root, target: slot.root, pool, signal, progress });
}

async function writeUki(
  world: InstallerWorld,
  bundle: Bundle,
  pool: DecodePool,
  rootHash: Sha256,
  signal: AbortSignal,
): Promise<void> {
  const { version } = bundle.manifest;
  const uki = imageOf(bundle.manifest, 'uki');
  if (!uki) return;
  const table = await bundle.frameTable('uki', signal);
  async function* jobs() {
    for await (const frame of bundle.compressedFrames('uki', table, signal)) yield { frame };
  }
  async function* chunks() {
    for await (const { bytes } of pool.map(jobs())) yield bytes;
  }
  await world.putUki({ version, size: uki.size, sha256: uki.sha256, rootHash }, chunks());
}
