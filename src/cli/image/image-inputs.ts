/** Checks everything that a disk is made from before its first byte is written, and reports all faults at once. */

import { imageBytes } from '../../bundle/bundle-bytes.ts';
import { type ImageFiles, imageFiles } from '../../bundle/image/image-files.ts';
import { timeOfFileSystem } from '../../bundle/image/root-tree.ts';
import { imageReader } from '../../bundle/image-reader.ts';
import { imageOf, type Manifest, manifestDigest, rootOf } from '../../bundle/manifest.ts';
import type { Bundle } from '../../bundle/reader.ts';
import type { Config } from '../../config/config.ts';
import { asUpdateError, UpdateError } from '../../errors.ts';
import { peMachine } from '../../formats/pe.ts';
import type { FileSource } from '../../system/disk/file-source.ts';
import type { Context } from '../command.ts';
import { signedManifest } from '../publish/signed-manifest.ts';
import { bytes } from '../units.ts';
import { type DiskLayout, layOut } from './disk-layout.ts';
import { identityUuid, tableOf } from './disk-table.ts';
import type { DiskPlan } from './disk-writer.ts';
import { configsOf, type Loader, loaderOf, outputFaults, toolFaults, trustRootOf, type Wanted } from './given-files.ts';
import { type Additions, fileIn, lacks, type System, systemIn, varFiles } from './system-config.ts';
import type { ChosenDisk } from './target-disk.ts';

export type Given = Readonly<{ bundle: Bundle; source: FileSource; disk: ChosenDisk | undefined }>;

/** Throws one error that names every fault; warns of what a system will miss. */
export async function planDisk(context: Context, wanted: Wanted, given: Given): Promise<DiskPlan> {
  const { bundle, disk } = given;
  const { manifest } = bundle;
  const loader = await loaderOf(wanted, manifest.architecture);
  const [trustRoot, configs] = [await trustRootOf(wanted), await configsOf(wanted)];
  const { system, epoch } = await lookInto(context, bundle);
  const wishes = { backend: wanted.backend, trustRoot: trustRoot.bytes, given: configs.fragments };
  const additions = varFiles(system, manifest, wishes);
  const missing = await lacks(system, manifest, additions);
  const { layout, faults: sizeFaults } = layOutDisk(manifest, wanted, additions.config, loader, disk?.sectorSize);
  const faults = [
    ...[loader, trustRoot, configs, missing].flatMap((one) => one.faults),
    ...sizeFaults,
    ...placeFaults(wanted, layout, disk, additions),
    ...(await kernelFaults(context, bundle)),
    ...(await outputFaults(wanted)),
    ...(await toolFaults(context, wanted)),
  ];
  if (faults.length > 0) throw new UpdateError('image-input', `${faults.join('; ')}.`);
  if (wanted.repository !== undefined) {
    const root = trustRoot.bytes ?? (await fileIn(system, additions.config.trust.rootFile));
    await signedManifest(context, wanted.repository, given.source, root);
  }
  for (const warning of missing.warnings) context.out.warn(warning);
  return planOf(bundle, layout, loader, additions, epochOf(context, epoch));
}

type Looked = Readonly<{ system: System | undefined; epoch: number }>;

/** What the root image says: nothing if its file system is unknown or contradicts itself. */
async function lookInto({ signal }: Context, bundle: Bundle): Promise<Looked> {
  const { size } = rootOf(bundle.manifest);
  const read = await imageBytes(bundle, 'root', signal);
  const within = (offset: number, length: number) => read(offset, Math.min(length, size - offset));
  try {
    const files: ImageFiles | undefined = await imageFiles(within, size);
    return { system: await systemIn(files), epoch: (await timeOfFileSystem(within, size)) ?? 0 };
  } catch (error) {
    // A file system that points outside of its image.
    const isContradiction = error instanceof RangeError || asUpdateError(error).code === 'image-mismatch';
    if (!isContradiction) throw error;
    return { system: undefined, epoch: 0 };
  }
}

/** The time of the release, which the superblock of its root records. */
function epochOf({ env }: Context, recorded: number): number {
  const given = env('SOURCE_DATE_EPOCH');
  if (given === undefined || given === '') return recorded;
  if (/^\d{1,11}$/.test(given)) return Number(given);
  throw new UpdateError('usage', `SOURCE_DATE_EPOCH must be seconds since 1970, not ${given}.`);
}

function layOutDisk(
  manifest: Manifest,
  { sizes }: Wanted,
  { slots }: Config,
  loader: Loader,
  sectorSize: number | undefined,
): ReturnType<typeof layOut> {
  const verity = imageOf(manifest, 'verity')?.size;
  const contents = {
    root: rootOf(manifest).size,
    ...(verity === undefined ? {} : { verity }),
    uki: imageOf(manifest, 'uki')?.size ?? 0,
    loader: loader.size,
  };
  const labels = {
    a: { root: slots.aRoot, verity: slots.aVerity },
    b: { root: slots.bRoot, verity: slots.bVerity },
  };
  return layOut(contents, sizes, labels, sectorSize);
}

/** A trust root and settings need a /var; a disk must be large enough. */
function placeFaults(
  { sizes }: Wanted,
  layout: DiskLayout,
  disk: ChosenDisk | undefined,
  { files }: Additions,
): string[] {
  const homeless = !sizes.hasVar && files.length > 0;
  return [
    ...(homeless ? [`with --var none there is no place for ${files.map(({ path }) => path).join(', ')}`] : []),
    ...(disk && layout.size > disk.size
      ? [`${disk.path} has ${bytes(disk.size)}, but ${bytes(layout.size)} are needed`]
      : []),
  ];
}

async function kernelFaults({ signal }: Context, bundle: Bundle): Promise<string[]> {
  const { architecture } = bundle.manifest;
  if (!imageOf(bundle.manifest, 'uki')) return ['the bundle has no kernel image (uki), so nothing could start it'];
  const head = await (await imageReader(bundle, 'uki', signal)).read(0, HEAD);
  const machine = peMachine(head);
  return machine === undefined || machine === architecture
    ? []
    : [`the kernel image is for ${machine}, but the release is for ${architecture}`];
}

const HEAD = 4096;

function planOf(bundle: Bundle, layout: DiskLayout, loader: Loader, additions: Additions, epoch: number): DiskPlan {
  const { manifest, manifestBytes } = bundle;
  const { product, version, architecture } = manifest;
  const { rootHash } = rootOf(manifest).verity;
  const identity = { manifest: manifestDigest(manifestBytes), rootHash, architecture };
  return {
    bundle,
    layout,
    table: tableOf(layout, identity),
    espFiles: (uki) => loader.files({ product, version, architecture, loader: loader.path, uki }),
    varFiles: additions.files,
    volumeId: identityUuid(identity, 'FAT').slice(0, 8),
    varUuid: identityUuid(identity, 'ext4'),
    epoch,
  };
}
