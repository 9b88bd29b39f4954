/** `updatectl bundle build`: turns a tree or image and a kernel into one file that hosts install. */

import { resolve } from 'node:path';
import { compressedForm } from '../../bundle/image/erofs.ts';
import type { Owner } from '../../bundle/image/owners.ts';
import type { RootFormat } from '../../bundle/image/root.ts';
import { readOsRelease, type UkiParts } from '../../bundle/image/uki.ts';
import type { Architecture } from '../../bundle/manifest.ts';
import { type BuildInput, type BuildResult, buildBundle, OLDEST_AGENT } from '../../bundle/publish/build.ts';
import { DEFAULT_LEVEL } from '../../bundle/publish/writer.ts';
import { UpdateError } from '../../errors.ts';
import { PRODUCT_PATTERN, type Product, VERSION_PATTERN, type Version } from '../../model.ts';
import { fileSource } from '../../system/disk/file-source.ts';
import { statOf } from '../../system/files.ts';
import { utcText } from '../../utc.ts';
import type { Command, Context, Input } from '../command.ts';
import { bytes } from '../units.ts';
import { warnAsDoctor } from './bundle-doctor.ts';
import { checkInputs, type Wanted } from './bundle-inputs.ts';

export const bundleBuild: Command = {
  name: 'bundle build',
  summary: 'build a bundle from a root file system and a kernel',
  description:
    'A folder becomes an erofs (or ext4) image that shares as much as possible with the next one; an image is used unchanged. The kernel, initrd and command line become a UKI that names ' +
    'the root hash. The same input gives the same bytes. No file is newer than the time of the release: SOURCE_DATE_EPOCH, or without it ' +
    'the time of the newest file. Warns of everything that `updatectl doctor` finds in the root.',
  examples: [
    'updatectl bundle build --product demo --version 1.0 --counter 1 --root tree --kernel vmlinuz --initrd initrd.img --cmdline quiet -o demo.bundle',
    'updatectl bundle build --product demo --version 1.0 --counter 1 --root root.erofs --uki demo.efi -o demo.bundle',
  ],
  options: [
    { flags: '--product <name>', summary: 'lower-case letters, digits and dashes', required: true },
    { flags: '--version <version>', summary: 'as hosts and people see it', required: true },
    { flags: '--counter <n>', summary: 'release counter, higher than for every earlier release', required: true },
    { flags: '--root <path>', summary: 'a file system image, or a folder to make one from', required: true },
    { flags: '--format <name>', summary: 'erofs or ext4, for a folder', default: 'erofs' },
    { flags: '--owner <who>', summary: 'owner of the files in a folder: keep, or root', default: 'keep' },
    { flags: '--uki <file>', summary: 'a UKI that already names the root hash' },
    { flags: '--kernel <file>', summary: 'a kernel to build a UKI from' },
    { flags: '--initrd <file>', summary: 'its initrd; several are joined', repeat: true },
    { flags: '--cmdline <text>', summary: 'its command line, without roothash=', default: '' },
    { flags: '--stub <file>', summary: 'the UEFI stub for the UKI' },
    { flags: '--os-release <file>', summary: 'file with the names for the boot menu' },
    { flags: '--ukify <file>', summary: 'the ukify program, if it is not on PATH' },
    { flags: '--architecture <name>', summary: 'x86-64 or arm64', default: 'x86-64' },
    { flags: '--min-agent <version>', summary: 'the oldest agent that may install it', default: OLDEST_AGENT },
    { flags: '--level <n>', summary: 'zstd compression level, from 1 to 19', default: String(DEFAULT_LEVEL) },
    { flags: '-o, --output <file>', summary: 'file to write the bundle to', required: true },
  ],
  run: async (context, input) => {
    const build = await checkInputs(context, await wanted(context, input));
    await warnOfCompression(context, build.root);
    await warnAsDoctor(context, build);
    using bar = context.out.progress('root image');
    const { exec, files, signal } = context;
    const result = await buildBundle(build, {
      exec,
      files,
      signal,
      progress: (stage, done, total) => bar.update(done, total, stage),
    });
    report(context, build, result);
    return 0;
  },
};

/** Compressed blocks have nothing in common with the previous release: every update would be a full download. */
async function warnOfCompression({ out, signal }: Context, root: string): Promise<void> {
  if ((await statOf(root))?.isFile() !== true) return;
  await using source = await fileSource(root);
  const head: Uint8Array[] = [];
  for await (const bytes of source.open(0, signal, Math.min(source.size, 4096))) head.push(bytes);
  const form = compressedForm(Buffer.concat(head));
  if (form !== undefined)
    out.warn(
      `${root} is ${form}: updates will be nearly full downloads. The bundle has its own compression; pass a folder, or an uncompressed erofs or ext4 image.`,
    );
}

async function wanted(context: Context, input: Input): Promise<Wanted> {
  const path = (option: string): string => resolve(context.cwd(), input.given(option));
  return {
    product: matching<Product>('product', input.given('product'), PRODUCT_PATTERN),
    version: matching<Version>('version', input.given('version'), VERSION_PATTERN),
    counter: input.whole('counter', 1) ?? 1,
    architecture: oneOf<Architecture>('architecture', input.given('architecture'), ['x86-64', 'arm64']),
    minAgent: input.given('min-agent'),
    root: path('root'),
    owner: oneOf<Owner>('owner', input.given('owner'), ['keep', 'root']),
    format: oneOf<RootFormat>('format', input.given('format'), ['erofs', 'ext4']),
    uki: await ukiInput(context, input),
    output: path('output'),
    level: level(input.whole('level', 1) ?? DEFAULT_LEVEL),
    epoch: epoch(context.env('SOURCE_DATE_EPOCH')),
  };
}

async function ukiInput(context: Context, input: Input): Promise<BuildInput['uki']> {
  const path = (given: string): string => resolve(context.cwd(), given);
  const [file, kernel] = [input.text('uki'), input.text('kernel')];
  if ((file === undefined) === (kernel === undefined))
    throw new UpdateError('usage', 'Pass either --uki, or --kernel with --initrd and --cmdline.');
  if (kernel === undefined) return { file: path(file ?? '') };
  const optional = (option: string, key: keyof UkiParts) => {
    const given = input.text(option);
    return given === undefined ? {} : { [key]: path(given) };
  };
  const release = input.text('os-release');
  return {
    kernel: path(kernel),
    initrds: input.list('initrd').map(path),
    commandLine: input.given('cmdline'),
    ...optional('stub', 'stub'),
    ...optional('ukify', 'ukify'),
    ...(release === undefined ? {} : { osRelease: await readOsRelease(path(release), context.signal) }),
  };
}

function report({ out }: Context, { output, epoch: seconds }: BuildInput, result: BuildResult): void {
  const time = utcText(new Date(seconds * 1000));
  const { manifest, manifestDigest, rootHash, size } = result;
  const { product, version, counter } = manifest;
  out.line(`${output}: ${product} ${version}, ${bytes(size)}`);
  out.line(`root hash ${rootHash}`);
  out.line(`time      ${time}`);
  out.line(`manifest  ${manifestDigest}`);
  out.document({
    schema: 1,
    bundle: output,
    product,
    version,
    counter,
    size,
    rootHash,
    manifest: manifestDigest,
    time,
  });
}

function matching<T extends string>(option: string, value: string, pattern: RegExp): T {
  if (pattern.test(value)) return value as T;
  throw new UpdateError('usage', `--${option} ${value} is not allowed; it must match ${pattern.source}.`);
}

function oneOf<T extends string>(option: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value);
  if (found !== undefined) return found;
  throw new UpdateError('usage', `--${option} must be ${allowed.join(' or ')}, not ${value}.`);
}

function level(given: number): number {
  if (given <= 19) return given;
  throw new UpdateError('usage', `--level goes from 1 to 19, not ${given}.`);
}

function epoch(given: string | undefined): number | undefined {
  if (given === undefined || given === '') return undefined;
  if (/^\d{1,11}$/.test(given)) return Number(given);
  throw new UpdateError('usage', `SOURCE_DATE_EPOCH must be seconds since 1970, not ${given}.`);
}
