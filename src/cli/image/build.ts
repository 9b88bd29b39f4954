/** `updatectl image build`: turns a bundle into the disk of a machine that starts it. */

import { dirname, join, resolve } from 'node:path';
import { decodePool } from '../../bundle/decode/pool.ts';
import { rootOf } from '../../bundle/manifest.ts';
import { openBundle } from '../../bundle/reader.ts';
import { UpdateError } from '../../errors.ts';
import { BOOT_BACKENDS } from '../../model.ts';
import { fileSource } from '../../system/disk/file-source.ts';
import { createScratch } from '../../system/disk/scratch.ts';
import type { Command, Context, Input } from '../command.ts';
import { MIB, type Part } from './disk-layout.ts';
import { type DiskPlan, workOf, writeDisk } from './disk-writer.ts';
import type { Wanted } from './given-files.ts';
import { type ImageFormat, orFull, publishImage } from './image-file.ts';
import { planDisk } from './image-inputs.ts';
import { LOADER_LAYOUTS } from './loader-layouts.ts';
import { sizeOption } from './size.ts';
import { askForDisk, type ChosenDisk, chosenDisk, tellKernel } from './target-disk.ts';
import { diskTools } from './tools.ts';

export const imageBuild: Command = {
  name: 'image build',
  summary: 'make a bootable disk image from a bundle, or write it to a disk',
  description:
    'The disk has a GUID partition table, an EFI system partition with the boot loader, slot a with the release, an empty slot b, and /var. ' +
    'Needs no root and no loop device. The same input gives the same bytes. Sizes are rounded up to whole MiB; the image is a sparse file. ' +
    'A trust root and settings that the root image lacks go into /var/lib/tandem of the new /var.',
  examples: [
    'updatectl image build demo.bundle -o disk.img',
    'updatectl image build demo.bundle -o disk.qcow2 --format qcow2 --trust-root 1.root.json --config host.toml',
    'updatectl image build demo.bundle --to /dev/sdb --repository /srv/updates',
  ],
  arguments: [{ name: '<bundle>', summary: 'a bundle made by `bundle build`' }],
  options: [
    { flags: '-o, --output <file>', summary: 'file to write the image to' },
    { flags: '--to <disk>', summary: 'disk to overwrite instead, for example /dev/sdb' },
    { flags: '--yes', summary: 'with --to: do not ask' },
    { flags: '--format <name>', summary: 'raw or qcow2', default: 'raw' },
    { flags: '--layout <name>', summary: 'the boot loader: systemd-boot or grub', default: 'systemd-boot' },
    { flags: '--loader-file <file>', summary: 'the program of the boot loader, if it is not in the usual place' },
    { flags: '--repository <folder>', summary: 'a repository whose signed metadata must name the bundle' },
    { flags: '--trust-root <file>', summary: 'the 1.root.json of the repository, if the root image has none' },
    { flags: '--config <file>', summary: 'settings for /var/lib/tandem/config.d', repeat: true },
    { flags: '--root-size <size>', summary: 'size of each root partition (default: 1.5 times the image)' },
    { flags: '--verity-size <size>', summary: 'size of each verity partition (default: for a full root partition)' },
    {
      flags: '--esp-size <size>',
      summary: 'size of the EFI system partition (default: for three kernels, at least 64M)',
    },
    { flags: '--var <what>', summary: 'ext4, or none: the first start makes it', default: 'ext4' },
    { flags: '--var-size <size>', summary: 'size of /var (default: 1G)' },
  ],
  run: async (context, input) => {
    const wanted = wantedFrom(context, input);
    await using source = await fileSource(wanted.bundle);
    const disk = wanted.to === undefined ? undefined : await chosenDisk(context, wanted.to);
    const bundle = await openBundle(source, undefined, context.signal);
    const plan = await planDisk(context, wanted, { bundle, source, disk });
    showPlan(context, plan);
    if (disk) await buildOnDisk(context, plan, disk, input.flag('yes'));
    else await buildFile(context, plan, wanted);
    report(context, plan, wanted);
    return 0;
  },
};

const FORMATS: readonly ImageFormat[] = ['raw', 'qcow2'];
const LAYOUTS = BOOT_BACKENDS.filter((name) => typeof LOADER_LAYOUTS[name] !== 'string');

function wantedFrom(context: Context, input: Input): Wanted {
  const path = (file: string): string => resolve(context.cwd(), file);
  const optional = (option: string): string | undefined => {
    const given = input.text(option);
    return given === undefined ? undefined : path(given);
  };
  const [output, to] = [optional('output'), optional('to')];
  if ((output === undefined) === (to === undefined)) throw new UpdateError('usage', 'Pass either --output or --to.');
  const [format, kind] = [oneOf(input, 'format', FORMATS), oneOf(input, 'var', ['ext4', 'none'] as const)];
  if (to !== undefined && format !== 'raw') throw new UpdateError('usage', '--format is for --output only.');
  if (kind === 'none' && input.text('var-size') !== undefined)
    throw new UpdateError('usage', '--var-size does not go with --var none.');
  return {
    bundle: path(input.argument(0)),
    output,
    to,
    format,
    backend: oneOf(input, 'layout', BOOT_BACKENDS, LAYOUTS),
    loader: optional('loader-file'),
    repository: optional('repository'),
    trustRoot: optional('trust-root'),
    configs: input.list('config').map(path),
    sizes: {
      esp: sizeOption(input, 'esp-size'),
      root: sizeOption(input, 'root-size'),
      verity: sizeOption(input, 'verity-size'),
      var: sizeOption(input, 'var-size'),
      hasVar: kind === 'ext4',
    },
  };
}

/** `named`: those that a refusal suggests. */
function oneOf<T extends string>(input: Input, option: string, allowed: readonly T[], named = allowed): T {
  const given = input.given(option);
  const found = allowed.find((one) => one === given);
  if (found !== undefined) return found;
  throw new UpdateError('usage', `--${option} must be ${named.join(' or ')}, not “${given}”.`);
}

function showPlan({ out }: Context, { bundle: { manifest }, layout, table }: DiskPlan): void {
  out.line(`${manifest.product} ${manifest.version}, ${manifest.architecture}`);
  const rows = table.entries.map((entry) => [entry.label, mebibytes(entry.size), entry.uuid, contentOf(entry)]);
  out.table([['partition', 'size', 'UUID', 'holds'], ...rows]);
  out.line(`${mebibytes(layout.size)} in all`);
}

/** All sizes are whole ones. */
const mebibytes = (size: number): string => `${size / MIB} MiB`;

function contentOf({ kind, slot }: Part): string {
  if (slot !== undefined) return slot === 'a' ? 'this release' : 'free';
  return kind === 'esp' ? 'boot loader and kernel' : 'state';
}

async function buildFile(context: Context, plan: DiskPlan, { output = '', format }: Wanted): Promise<void> {
  await using scratch = await createScratch(output);
  await scratch.createSparse(DISK, plan.layout.size);
  const exec = diskTools(context, { epoch: plan.epoch, cwd: scratch.path('.') });
  const place = { path: scratch.path(DISK), name: DISK };
  try {
    await write(context, plan, place, { exec, scratch });
    await publishImage(context, { exec, scratch, disk: DISK, format, output });
  } catch (error) {
    throw await orFull(error, dirname(output));
  }
}

const DISK = 'disk';

async function buildOnDisk(context: Context, plan: DiskPlan, disk: ChosenDisk, isSure: boolean): Promise<void> {
  await askForDisk(context, disk, isSure);
  await using scratch = await createScratch(join(context.env('TMPDIR') ?? '/var/tmp', disk.name));
  const exec = diskTools(context, { epoch: plan.epoch, cwd: scratch.path('.') });
  await write(context, plan, { ...disk, name: disk.path }, { exec, scratch });
  await tellKernel(context, exec, disk);
}

async function write(
  context: Context,
  plan: DiskPlan,
  place: Parameters<typeof writeDisk>[0],
  tools: Pick<Parameters<typeof writeDisk>[2], 'exec' | 'scratch'>,
): Promise<void> {
  await using pool = decodePool({ entry: context.entry, workers: rootOf(plan.bundle.manifest).size < SMALL ? 1 : 2 });
  using bar = context.out.progress('writing');
  const total = workOf(plan, place.rdev !== undefined);
  let done = 0;
  const progress = (step: string, count: number): void => {
    done += count;
    bar.update(Math.min(done, total), total, step);
  };
  await writeDisk(place, plan, { ...tools, pool, signal: context.signal, progress });
}

/** Below this, a second thread takes longer to start than it saves. */
const SMALL = 16 * MIB;

function report({ out }: Context, { bundle, layout, table }: DiskPlan, { output, to, backend }: Wanted): void {
  const place = output ?? to ?? '';
  out.line(`${place}: ready. It starts ${bundle.manifest.product} ${bundle.manifest.version} from slot a.`);
  out.document({
    schema: 1,
    image: place,
    product: bundle.manifest.product,
    version: bundle.manifest.version,
    layout: backend,
    size: layout.size,
    guid: table.guid,
    partitions: table.entries.map(({ label, type, uuid, offset, size }) => ({ label, type, uuid, offset, size })),
  });
}
