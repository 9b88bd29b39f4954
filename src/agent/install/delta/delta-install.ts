/** Assembles a release from data on this host: the cheapest tier first, then the next one if it fails. */

import type { DecodePool } from '../../../bundle/decode/pool.ts';
import { type BlockSet, extentsWhere } from '../../../bundle/delta/copy.ts';
import { volumeOf } from '../../../bundle/image/volume.ts';
import { imageOf, rootOf } from '../../../bundle/manifest.ts';
import type { Bundle } from '../../../bundle/reader.ts';
import { asUpdateError, type ErrorCode, EXIT, UpdateError } from '../../../errors.ts';
import type { SlotName } from '../../../model.ts';
import type { Kernels } from '../../../reboot/kernels/kernels.ts';
import type { BlockTarget } from '../../../system/disk/block-target.ts';
import type { Log } from '../../../system/log.ts';
import type { TrustedDelta } from '../../../verify/deltas.ts';
import { assembleFromBlocks } from './blocks-tier.ts';
import { type DeltaJob, type DeltaPhase, headName, leavesName } from './job.ts';
import { assembleFromPatch } from './patch-tier.ts';
import { proveSlot } from './proof.ts';
import { type OldVolume, type RunningSystem, readOldVolume, ukiDigest } from './running-system.ts';
import type { Transfer } from './transfer.ts';
import type { DeltaWorld, RemoteFile } from './world.ts';

export type DeltaInstall = Readonly<{
  world: DeltaWorld;
  kernels: Pick<Kernels, 'openPart'>;
  target: SlotName;
  bundle: Bundle;
  deltas: readonly TrustedDelta[];
  openDelta(delta: TrustedDelta): Promise<RemoteFile>;
  bundleFile: RemoteFile;
  slot: Readonly<{ root: BlockTarget; verity?: BlockTarget }>;
  pool: DecodePool;
  transfer: Transfer;
  told(phase: DeltaPhase | 'read-back', done: number, total: number): void;
  log: Log;
  signal: AbortSignal;
}>;

/** True if the slot was filled and verified; false if the full image is needed. The UKI is on the ESP as a `.part` file. */
export async function installDelta(install: DeltaInstall): Promise<boolean> {
  const { world, deltas, log, signal } = install;
  await world.cache.keepOnly(deltas.flatMap(({ head }) => [headName(head), leavesName(head)]));
  if (deltas.length === 0 || !install.slot.verity) return false;
  await using held = new AsyncDisposableStack();
  const ready = await prepare(install, held).catch((error: unknown) => {
    signal.throwIfAborted();
    // The full image does not need the running system, whatever is wrong with it.
    const { code, message } = asUpdateError(error);
    log.warn({ code }, `nothing can be reused from the running system: ${message}`);
    return undefined;
  });
  if (!ready) return false;
  for (const delta of ready.deltas) {
    try {
      await runTier(install, ready.old, delta);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      mayFall(error);
      const { code, message } = asUpdateError(error);
      log.warn({ tier: delta.kind, code }, `falling back to the next tier: ${message}`);
      install.transfer.fell(delta.kind, code);
    }
  }
  return false;
}

/** The running system, and the deltas that fit it, in the order of trying. */
async function prepare(
  install: DeltaInstall,
  held: AsyncDisposableStack,
): Promise<Readonly<{ old: OldVolume; deltas: readonly TrustedDelta[] }> | undefined> {
  const { world, bundle, pool, signal } = install;
  const running = await world.openRunning();
  if (!running) return undefined;
  held.use(running);
  const old = await readOldVolume(running, pool, signal);
  if (old.salt !== rootOf(bundle.manifest).verity.salt)
    throw new UpdateError('delta-unsupported', 'The running system was built with a different salt.');
  return { old, deltas: await candidates(install, running) };
}

/** First a patch for exactly the running release, smaller than the blocks that it replaces; then blocks, for any system. */
async function candidates(install: DeltaInstall, running: RunningSystem): Promise<readonly TrustedDelta[]> {
  const { deltas, bundle, signal, transfer } = install;
  const full = fullSize(bundle);
  const digest = await ukiDigest(running, signal);
  const fits = ({ from }: TrustedDelta): boolean =>
    from?.rootHash === running.rootHash && (from.uki === undefined || from.uki === digest);
  const patches = deltas
    .filter((delta) => delta.kind === 'patch' && fits(delta) && delta.size < full)
    .toSorted((one, other) => one.size - other.size);
  const blocks = deltas.filter((delta) => delta.kind === 'blocks' && delta.head.size < full);
  transfer.choices([
    ...patches.map(({ size }) => ({ tier: 'patch' as const, bytes: size })),
    // The real size is known once its index is compared with this host's blocks.
    ...blocks.map(({ head }) => ({ tier: 'blocks' as const, bytes: head.size, atLeast: true as const })),
    { tier: 'full' as const, bytes: full },
  ]);
  return [...patches, ...blocks];
}

/** The most that the full tier fetches. */
export const fullSize = ({ manifest }: Pick<Bundle, 'manifest'>): number =>
  manifest.images.reduce((sum, { blob, frames }) => sum + blob.size + frames.size, 0);

async function runTier(install: DeltaInstall, old: OldVolume, delta: TrustedDelta): Promise<void> {
  const { bundle, world, target, slot, pool, transfer, told, log, signal } = install;
  const { verity, root } = slot;
  if (!verity) throw new UpdateError('delta-unsupported', 'The slot has no partition for the tree.');
  const { manifest } = bundle;
  await using opened = new AsyncDisposableStack();
  const file = await install.openDelta(delta);
  opened.defer(async () => file[Symbol.asyncDispose]?.());
  const uki = imageOf(manifest, 'uki');
  const job: DeltaJob = {
    bundle,
    volume: volumeOf(manifest),
    old,
    slot: { root, verity },
    ...(uki ? { uki: await install.kernels.openPart(target, manifest.version, uki.size) } : {}),
    delta,
    file: counted(file, transfer),
    bundleFile: counted(install.bundleFile, transfer),
    fullSize: fullSize(bundle),
    isAgain: transfer.status().fallen.length > 0,
    fetchRanges: world.fetchRanges,
    cache: world.cache,
    pool,
    tally: transfer.begin(delta.kind),
    told,
    planned: (bytes) => transfer.planned(bytes, file.source.name),
    log,
    signal,
  };
  const { promised, mend } = await (delta.kind === 'patch' ? assembleFromPatch(job) : assembleFromBlocks(job));
  const progress = (done: number): void => told('read-back', done, rootOf(manifest).size);
  const proof = { ...job.slot, manifest, volume: job.volume, promised, pool, signal, progress };
  const prove = (): Promise<BlockSet> => proveSlot({ ...proof, ...(job.uki ? { uki: job.uki } : {}) });
  const wrong = await prove();
  if (wrong.count === 0) return;
  log.warn({ wrong: wrong.count, first: firstOf(wrong) }, 'copied blocks are damaged; they are fetched instead');
  await mend(wrong);
  const left = await prove();
  if (left.count > 0)
    throw new UpdateError(
      'delta-root-mismatch',
      `${root.name}: ${left.count} blocks are still wrong after two writes.`,
    );
}

const firstOf = (blocks: BlockSet): number | undefined => extentsWhere(blocks.size, blocks.has)[0]?.first;

const counted = ({ source, mirrors }: RemoteFile, transfer: Transfer): RemoteFile => ({
  source: transfer.counted(source),
  mirrors: mirrors.map((mirror) => transfer.counted(mirror)),
});

/** Rethrows errors that another tier would meet as well: faults of this host, and an unreachable network. */
function mayFall(error: unknown): void {
  const { code, entry } = asUpdateError(error);
  if (NO_NETWORK.has(code)) throw error;
  if (code !== 'unexpected' && !ELSEWHERE.has(entry.exit)) throw error;
}

/** Faults of the delta, its server or its signature. */
const ELSEWHERE: ReadonlySet<number> = new Set([EXIT.bundle, EXIT.network, EXIT.trust]);

const NO_NETWORK: ReadonlySet<ErrorCode> = new Set([
  'server-unreachable',
  'server-timeout',
  'server-slow',
  'server-busy',
  'tls-untrusted',
  'proxy-auth',
]);
