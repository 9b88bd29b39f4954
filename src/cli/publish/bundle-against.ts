/** `bundle inspect --against`: the download for hosts on an older release, and the files that cause it. */

import { decodePool } from '../../bundle/decode/pool.ts';
import { type Rehearsal, rehearse } from '../../bundle/delta/rehearsal.ts';
import { type Comparison, compareBundles } from '../../bundle/publish/against.ts';
import { type Bundle, openBundle } from '../../bundle/reader.ts';
import { fileSource } from '../../system/disk/file-source.ts';
import { createScratch } from '../../system/disk/scratch.ts';
import type { Context } from '../command.ts';
import { bytes } from '../units.ts';

/** `path` is the new bundle; an exact answer needs room for both releases in its folder. */
export type Question = Readonly<{ bundle: Bundle; path: string; against: string; isExact: boolean }>;

/** Prints the comparison, and returns it for the document. */
export async function inspectAgainst(context: Context, { bundle, path, against, isExact }: Question): Promise<object> {
  await using source = await fileSource(against);
  const from = await openBundle(source, undefined, context.signal);
  await using pool = decodePool({ entry: context.entry });
  const comparison = await compareBundles(bundle, from, pool, context.signal);
  const exact = isExact ? await rehearsed(context, { bundle, from, path, pool }) : undefined;
  show(context, comparison, exact);
  const { files } = comparison;
  return { ...comparison, files: files.slice(0, TOLD), costlyFiles: files.length, ...(exact ? { exact } : {}) };
}

/** Files listed in the table, and in the document. */
const SHOWN = 20;
const TOLD = 100;

type Pair = Readonly<{ bundle: Bundle; from: Bundle; path: string; pool: ReturnType<typeof decodePool> }>;

async function rehearsed(context: Context, { bundle, from, path, pool }: Pair): Promise<Rehearsal> {
  const { files, signal } = context;
  await using scratch = await createScratch(path);
  using bar = context.out.progress('building');
  const progress = (what: string, done: number, total: number): void => bar.update(done, total, what);
  return await rehearse(bundle, from, { pool, output: { files, scratch }, signal, progress });
}

function show({ out }: Context, comparison: Comparison, exact: Rehearsal | undefined): void {
  const { from, to, full, blocks, fresh, reused, files, other } = comparison;
  out.line();
  out.line(`A host on ${from} already has ${bytes(reused)} of ${to}; ${bytes(fresh)} are new. It downloads`);
  out.table([
    ...(exact ? [['  by patch', bytes(exact.patch)]] : []),
    exact ? ['  by blocks', bytes(exact.blocks)] : ['  by blocks, about', bytes(blocks)],
    ['  in full', bytes(full)],
  ]);
  out.line(taken(comparison, exact));
  if (files.length === 0 && other.fresh === 0) return;
  out.line();
  out.table([
    ['new', 'packed', 'file', 'why'],
    ...files.slice(0, SHOWN).map((one) => [bytes(one.fresh), bytes(one.packed), one.path, one.why]),
    ...rest(comparison),
  ]);
}

function taken({ blocks, full }: Comparison, exact: Rehearsal | undefined): string {
  if (exact === undefined)
    return `An agent takes ${blocks < full ? 'the blocks' : 'the full image'}, unless there is a patch; --exact builds one and shows its size.`;
  const [[tier = 'full'] = []] = [
    ['patch', exact.patch] as const,
    ['blocks', exact.blocks] as const,
    ['full', full] as const,
  ].sort(([, one], [, other]) => one - other);
  return `An agent takes ${{ patch: 'the patch', blocks: 'the blocks', full: 'the full image' }[tier]}.`;
}

function rest({ files, other }: Comparison): string[][] {
  const more = files.slice(SHOWN);
  const add = (what: 'fresh' | 'packed'): string => bytes(more.reduce((sum, file) => sum + file[what], 0));
  const what = other.isFileSystemKnown
    ? 'folders, inodes and gaps'
    : 'the root image (files are listed only for uncompressed erofs and ext4)';
  return [
    ...(more.length > 0 ? [[add('fresh'), add('packed'), `${more.length} more files`, '']] : []),
    ...(other.fresh > 0 ? [[bytes(other.fresh), bytes(other.packed), what, '']] : []),
  ];
}
