/** The UKI of a release: built by ukify with our root hash in its command line, or used as given if it already names it. */

import { UpdateError } from '../../errors.ts';
import { commandLineValues, onlySection, osReleaseValue, peSections, sectionText } from '../../formats/pe.ts';
import type { Product, Sha256, Version } from '../../model.ts';
import { fileSource } from '../../system/disk/file-source.ts';
import type { Scratch } from '../../system/disk/scratch.ts';
import { type Exec, run } from '../../system/process/exec.ts';
import { byteRange } from '../byte-range.ts';
import type { ByteSource } from '../byte-source.ts';

import type { Architecture } from '../manifest.ts';

/** The parts of a UKI. */
export type UkiParts = Readonly<{
  kernel: string;
  initrds: readonly string[];
  commandLine: string;
  stub?: string;
  /** The text of an os-release file, whose names and versions are replaced. */
  osRelease?: string;
  /** The path of ukify, if not on PATH. */
  ukify?: string;
}>;

/** The required metadata of the UKI. */
export type UkiIdentity = Readonly<{ product: Product; version: Version; rootHash: Sha256 }>;

export type UkiTools = Readonly<{ exec: Exec; scratch: Scratch; signal: AbortSignal; epoch: number }>;

/** Builds the UKI; returns its path. */
export async function makeUki(
  parts: UkiParts,
  identity: UkiIdentity,
  architecture: Architecture,
  tools: UkiTools,
): Promise<string> {
  const { exec, scratch, signal, epoch } = tools;
  const output = scratch.path('uki.efi');
  await scratch.writeText('os-release', [osReleaseFor(identity, parts.osRelease)]);
  const args = [
    'build',
    `--linux=${parts.kernel}`,
    ...parts.initrds.map((initrd) => `--initrd=${initrd}`),
    `--cmdline=${commandLineFor(parts.commandLine, identity.rootHash)}`,
    `--os-release=@${scratch.path('os-release')}`,
    `--efi-arch=${architecture === 'arm64' ? 'aa64' : 'x64'}`,
    ...(parts.stub === undefined ? [] : [`--stub=${parts.stub}`]),
    `--output=${output}`,
  ];
  const env = { SOURCE_DATE_EPOCH: String(epoch) };
  await run(exec, parts.ukify ?? 'ukify', args, { signal, env, package: 'systemd-ukify' });
  return output;
}

/** Throws unless the UKI names this root hash, product and version, so that it starts nothing else. */
export async function checkUki(source: ByteSource, identity: UkiIdentity, signal: AbortSignal): Promise<void> {
  const [commandLine, osRelease] = await ukiTexts(source, ['.cmdline', '.osrel'], signal);
  checkUkiTexts(source.name, { commandLine, osRelease }, identity);
}

/** The metadata of a UKI. */
export type UkiTexts = Readonly<{ commandLine: string | undefined; osRelease: string | undefined }>;

/** The same check for texts that are already known. */
export function checkUkiTexts(name: string, { commandLine, osRelease }: UkiTexts, identity: UkiIdentity): void {
  const hashes = commandLineValues(commandLine ?? '', 'roothash');
  if (hashes.length !== 1 || hashes[0] !== identity.rootHash)
    throw mismatch(name, `its command line has ${describe(hashes)}; it must have roothash=${identity.rootHash}`);
  for (const [key, wanted] of [['ID', identity.product] as const, ['VERSION_ID', identity.version] as const]) {
    const found = osReleaseValue(osRelease ?? '', key);
    if (found !== wanted) throw mismatch(name, `its os-release has ${key}=${found ?? '(nothing)'}, not ${wanted}`);
  }
}

/** The names and versions by which systemd-boot sorts entries and `checkUki` identifies them. */
const osReleaseFields = ({ product, version }: UkiIdentity): readonly (readonly [key: string, value: string])[] => [
  ['ID', product],
  ['VERSION_ID', version],
  ['IMAGE_ID', product],
  ['IMAGE_VERSION', version],
];

function osReleaseFor(identity: UkiIdentity, base = `NAME="${identity.product}"\n`): string {
  const ours = osReleaseFields(identity);
  const kept = base
    .split('\n')
    .filter((line) => line !== '' && !ours.some(([key]) => line.trim().startsWith(`${key}=`)));
  const named = kept.some((line) => line.startsWith('PRETTY_NAME='));
  const title = named ? [] : [`PRETTY_NAME="${identity.product} ${identity.version}"`];
  return `${[...kept, ...title, ...ours.map(([key, value]) => `${key}="${value}"`)].join('\n')}\n`;
}

function commandLineFor(commandLine: string, rootHash: Sha256): string {
  if (commandLineValues(commandLine, 'roothash').length > 0)
    throw new UpdateError(
      'usage',
      'The kernel command line must not have roothash=: it is added when the root image is known.',
    );
  return `${commandLine.trim()} roothash=${rootHash}`.trim();
}

/** The texts of these sections, without reading the rest of the file. */
async function ukiTexts(
  source: ByteSource,
  names: readonly string[],
  signal: AbortSignal,
): Promise<(string | undefined)[]> {
  const sections = peSections(await byteRange(source, 0, Math.min(HEAD, source.size), signal), source.size);
  return Promise.all(
    names.map(async (name) => {
      const found = onlySection(sections, name);
      // One byte more than allowed, so that a longer text is refused rather than cut.
      const size = Math.min(found?.size ?? 0, HEAD + 1);
      return found && sectionText(await byteRange(source, found.offset, size, signal), name);
    }),
  );
}

const HEAD = 64 * 1024;

const describe = (hashes: readonly string[]): string =>
  hashes.length === 0 ? 'no roothash=' : hashes.map((hash) => `roothash=${hash}`).join(' and ');

const mismatch = (name: string, why: string): UpdateError =>
  new UpdateError('uki-mismatch', `${name} does not belong to this release: ${why}.`);

export async function readOsRelease(path: string, signal: AbortSignal): Promise<string> {
  await using source = await fileSource(path);
  return new TextDecoder().decode(await byteRange(source, 0, Math.min(source.size, HEAD), signal));
}
