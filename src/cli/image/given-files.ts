/** The files that a command line of `image build` names: each is read, and each fault becomes part of one sentence. */

import { basename, dirname, join } from 'node:path';
import type { Architecture } from '../../bundle/manifest.ts';
import { HOST_CONFIG_DIR } from '../../config/config.ts';
import { type Fragment, readEach } from '../../config/fragments.ts';
import { KEYS } from '../../config/keys.ts';
import { asUpdateError, UpdateError } from '../../errors.ts';
import { peMachine } from '../../formats/pe.ts';
import type { BackendName } from '../../model.ts';
import { naming, readHead, statOf } from '../../system/files.ts';
import { checkedRoot } from '../../verify/client.ts';
import type { Context } from '../command.ts';
import type { GivenSizes } from './disk-layout.ts';
import type { ImageFormat } from './image-file.ts';
import { type EspFile, type EspInput, LOADER_LAYOUTS } from './loader-layouts.ts';
import { missingTools } from './tools.ts';

/** The command line. */
export type Wanted = Readonly<{
  bundle: string;
  output: string | undefined;
  to: string | undefined;
  format: ImageFormat;
  backend: BackendName;
  loader: string | undefined;
  repository: string | undefined;
  trustRoot: string | undefined;
  configs: readonly string[];
  sizes: GivenSizes;
}>;

type Faults = Readonly<{ faults: readonly string[] }>;

/** The program of the boot loader, and what it needs. */
export type Loader = Faults & Readonly<{ path: string; size: number; files(input: EspInput): readonly EspFile[] }>;

export async function loaderOf({ backend, loader: given }: Wanted, architecture: Architecture): Promise<Loader> {
  const layout = LOADER_LAYOUTS[backend];
  const nothing = { path: '', size: 0, files: () => [] };
  if (typeof layout === 'string')
    return { ...nothing, faults: [`--layout ${backend} is not built: it needs ${layout} (docs/disk-images.md)`] };
  const path = given ?? (await firstOf(layout.places(architecture)));
  if (path === undefined)
    return { ...nothing, faults: [`the program of ${backend} was not found: ${layout.source(architecture)}`] };
  const [head, stat] = [await readHead(path, HEAD).catch(() => undefined), await statOf(path)];
  const machine = peMachine(head ?? new Uint8Array());
  const what = faultOfLoader(head, machine, architecture);
  const faults = what === undefined ? [] : [`--loader-file ${path} ${stat ? what : 'does not exist'}`];
  return { path, size: stat?.size ?? 0, files: layout.files, faults };
}

function faultOfLoader(
  head: Uint8Array | undefined,
  machine: ReturnType<typeof peMachine>,
  architecture: Architecture,
): string | undefined {
  if (!head) return 'is not readable';
  if (machine === undefined) return 'is not a program for UEFI';
  return machine === architecture ? undefined : `is for ${machine}, but the release is for ${architecture}`;
}

const HEAD = 4096;

async function firstOf(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if ((await statOf(path))?.isFile()) return path;
  return undefined;
}

/** The given trust root. */
export async function trustRootOf({
  trustRoot,
}: Wanted): Promise<Faults & Readonly<{ bytes: Uint8Array | undefined }>> {
  if (trustRoot === undefined) return { bytes: undefined, faults: [] };
  try {
    return { bytes: checkedRoot(await smallFile(trustRoot)), faults: [] };
  } catch (error) {
    return { bytes: undefined, faults: [`--trust-root ${trustRoot}: ${sentenceOf(error)}`] };
  }
}

/** The given settings, by the paths that they will have. */
export async function configsOf({ configs }: Wanted): Promise<Faults & Readonly<{ fragments: readonly Fragment[] }>> {
  const fragments: Fragment[] = [];
  const faults: string[] = [];
  for (const file of configs) {
    const [name, path] = [basename(file), join(HOST_CONFIG_DIR, basename(file))];
    if (!NAME.test(name)) faults.push(`--config ${file}: the agent reads only names such as 10-host.toml`);
    if (fragments.some((one) => one.path === path)) faults.push(`--config ${file}: there are two files ${name}`);
    const read = await fragmentOf(file, path);
    if ('faults' in read) faults.push(...read.faults);
    else fragments.push(read);
  }
  return { fragments, faults };
}

const NAME = /^[A-Za-z0-9][\w.@-]{0,127}\.toml$/;

async function fragmentOf(file: string, path: string): Promise<Fragment | Faults> {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await smallFile(file));
    const wrong = readEach({ path: file, text }, KEYS).flatMap((one) => ('fault' in one ? [one.fault] : []));
    return wrong.length > 0 ? { faults: wrong.map(sentenceOf) } : { path, text };
  } catch (error) {
    const why = error instanceof TypeError ? 'it is not UTF-8 text' : sentenceOf(error);
    return { faults: [`--config ${file}: ${why}`] };
  }
}

/** Bounded, since a device may have no end. */
async function smallFile(path: string): Promise<Uint8Array> {
  const bytes = await readHead(path, MOST_BYTES + 1).catch(naming(path));
  if (!bytes) throw new UpdateError('file-absent', 'it does not exist.');
  if (bytes.length > MOST_BYTES) throw new UpdateError('file-unsuitable', 'it is larger than 1 MiB.');
  return bytes;
}

const MOST_BYTES = 1024 * 1024;

/** An image replaces only a regular file, and not one that it is made from. */
export async function outputFaults({ output, ...wanted }: Wanted): Promise<string[]> {
  if (output === undefined) return [];
  const sources = [wanted.bundle, wanted.loader, wanted.trustRoot, ...wanted.configs];
  const [place, folder] = [await statOf(output), await statOf(dirname(output))];
  if (!folder?.isDirectory()) return [`the folder of --output, ${dirname(output)}, does not exist`];
  if (place?.isBlockDevice()) return [`--output ${output} is a disk; to overwrite it, pass --to`];
  if (place && !place.isFile()) return [`--output ${output} is not a regular file`];
  const others = await Promise.all(sources.map((path) => (path === undefined ? undefined : statOf(path))));
  const isSource = place && others.some((one) => one?.ino === place.ino && one.dev === place.dev);
  return isSource ? [`--output ${output} is also an input`] : [];
}

/** Programs that are missing now would be missed after minutes. */
export const toolFaults = (context: Pick<Context, 'env'>, { format, to, sizes }: Wanted): Promise<string[]> =>
  missingTools(context, [
    ...['sfdisk', 'mkfs.vfat', 'mcopy', 'mmd'],
    ...(sizes.hasVar ? ['mke2fs', 'debugfs'] : []),
    ...(format === 'qcow2' ? ['qemu-img'] : []),
    ...(to === undefined ? [] : ['blockdev', 'partx', 'e2fsck']),
  ]);

const sentenceOf = (error: unknown): string => asUpdateError(error).message.replace(/\.$/, '');
