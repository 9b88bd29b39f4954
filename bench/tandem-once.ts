/**
 * Publishes as the released program does, in a process of its own: a bundle, a blocks file or a patch.
 * usage: tandem-once.js bundle IMAGE OUTPUT | blocks NEW.bundle OLD.bundle OUTPUT | patch NEW.bundle OLD.bundle OUTPUT ; prints what the signed metadata would say.
 */

import { DECODER } from '../src/bundle/decode/decoder.ts';
import { decodePool } from '../src/bundle/decode/pool.ts';
import { buildBlocks } from '../src/bundle/delta/blocks-build.ts';
import { buildPatch } from '../src/bundle/delta/patch-build.ts';
import { leavesOfBundle, unpackRelease } from '../src/bundle/delta/unpack.ts';
import { DEFAULT_LEVEL, packRoot, writeBundle } from '../src/bundle/publish/writer.ts';
import { openBundle } from '../src/bundle/reader.ts';
import { saltFor } from '../src/bundle/verity.ts';
import type { Product, Version } from '../src/model.ts';
import { fileSource } from '../src/system/disk/file-source.ts';
import { createScratch } from '../src/system/disk/scratch.ts';
import { realFiles } from '../src/system/files.ts';

const STEPS: Readonly<Record<string, (...args: string[]) => Promise<unknown>>> = { bundle, blocks, patch };

const signal = new AbortController().signal;
const files = realFiles;

async function bundle(image = '', output = ''): Promise<unknown> {
  await using scratch = await createScratch(output);
  await using source = await fileSource(image);
  const product = 'bench' as Product;
  const { root, verity, rootHash } = await packRoot(source, saltFor(product), {
    scratch,
    level: DEFAULT_LEVEL,
    signal,
  });
  const about = { product, version: '1' as Version, counter: 1, architecture: 'x86-64', minAgent: '0.1.0' } as const;
  await writeBundle(output, about, [verity, root], { files, scratch, signal });
  return { rootHash };
}

async function blocks(newer = '', older = '', output = ''): Promise<unknown> {
  await using scratch = await createScratch(output);
  await using pool = openPool();
  await using old = await fileSource(older);
  const known = await leavesOfBundle(await openBundle(old, undefined, signal), pool, signal);
  await using release = await unpacked(newer, pool, scratch);
  return await buildBlocks(release, [known], { path: output, files, scratch }, { signal });
}

async function patch(newer = '', older = '', output = ''): Promise<unknown> {
  await using scratch = await createScratch(output);
  await using pool = openPool();
  await using to = await unpacked(newer, pool, scratch);
  await using from = await unpacked(older, pool, scratch);
  return await buildPatch(from, to, { path: output, files, scratch }, { signal });
}

async function unpacked(
  path: string,
  pool: ReturnType<typeof decodePool>,
  scratch: Parameters<typeof unpackRelease>[2],
) {
  await using source = await fileSource(path);
  return await unpackRelease(await openBundle(source, undefined, signal), pool, scratch, signal);
}

const openPool = (): ReturnType<typeof decodePool> => decodePool({ entry: DECODER });

const [step = '', ...args] = process.argv.slice(2);
console.log(JSON.stringify(await STEPS[step]?.(...args)));
