/** Opens what goes with a tree: kernel, initrds, the repository's roots. */

import { join } from 'node:path';
import { byteRange } from '../../../bundle/byte-range.ts';
import { UpdateError } from '../../../errors.ts';
import { kernelRelease } from '../../../formats/linux-image.ts';
import { peMachine } from '../../../formats/pe.ts';
import { type FileSource, linkedSource } from '../../../system/disk/file-source.ts';
import { readHead, realFiles } from '../../../system/files.ts';
import { LIMITS } from '../../../verify/documents.ts';
import { ukiParts } from './uki-parts.ts';
import type { Companions } from './world.ts';

export type CompanionFiles = Readonly<{
  version?: string | undefined;
  commandLine?: string | undefined;
  kernel?: string | undefined;
  initrds?: readonly string[];
  uki?: string | undefined;
  repository?: string | undefined;
}>;

/** Keeps the initrds open until it is disposed of. */
export async function openCompanions(
  files: CompanionFiles,
  signal: AbortSignal,
): Promise<AsyncDisposable & Readonly<{ companions: Companions }>> {
  await using stack = new AsyncDisposableStack();
  const initrds: { name: string; source: FileSource }[] = [];
  for (const name of files.initrds ?? []) initrds.push({ name, source: stack.use(await linkedSource(name)) });
  const { version, commandLine, kernel, uki, repository } = files;
  const source = uki === undefined ? undefined : stack.use(await linkedSource(uki));
  const parts =
    source && (await ukiParts(source.name, (offset, length) => byteRange(source, offset, length, signal), source.size));
  const companions: Companions = {
    ...parts,
    ...(version === undefined ? {} : { version }),
    ...(commandLine === undefined ? {} : { commandLine }),
    ...(kernel === undefined ? {} : { kernel: await kernelFacts(kernel) }),
    ...(initrds.length === 0 ? {} : { initrds }),
    ...(repository === undefined ? {} : { roots: await rootsOf(repository) }),
  };
  const opened = stack.move();
  return { companions, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

async function kernelFacts(path: string): Promise<NonNullable<Companions['kernel']>> {
  const head = await readHead(path, 64 * 1024);
  if (!head) throw new UpdateError('source-unreadable', `${path}: there is no such file.`);
  const [release, machine] = [kernelRelease(head), peMachine(head)];
  return {
    name: path,
    ...(release === undefined ? {} : { release }),
    ...(machine === undefined ? {} : { machine }),
  };
}

/** By version; throws if the folder has none. */
async function rootsOf(repository: string): Promise<ReadonlyMap<number, Uint8Array>> {
  const dir = join(repository, 'metadata');
  const roots = new Map<number, Uint8Array>();
  for (const name of await realFiles.list(dir)) {
    const [, version] = /^([1-9]\d{0,8})\.root\.json$/.exec(name) ?? [];
    const bytes = version === undefined ? undefined : await realFiles.read(join(dir, name), LIMITS.root);
    if (bytes) roots.set(Number(version), bytes);
  }
  if (roots.size > 0) return roots;
  throw new UpdateError('source-unreadable', `${repository} is not a repository: it has no metadata/1.root.json.`);
}
