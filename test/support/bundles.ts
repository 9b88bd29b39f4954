/** Makes real bundles from bytes, through the real writer. */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Manifest, serializeManifest } from '../../src/bundle/manifest.ts';
import { packRoot, packUki, type WriterOptions, writeBundle } from '../../src/bundle/publish/writer.ts';
import { saltFor } from '../../src/bundle/verity.ts';
import type { Product, Version } from '../../src/model.ts';
import { createScratch } from '../../src/system/disk/scratch.ts';
import { realFiles } from '../../src/system/files.ts';
import { memorySource } from './sources.ts';

export const noSignal: AbortSignal = new AbortController().signal;

export const about: Omit<Manifest, 'schema' | 'images'> = {
  product: 'demo' as Product,
  version: '1.0' as Version,
  counter: 1,
  architecture: 'x86-64',
  minAgent: '0.1.0',
};

/** A folder that is gone after the test. */
export async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'tandem-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Bytes that compress about as well as programs do, the same for the same seed. */
export function someBytes(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = seed >>> 0 || 1;
  for (let at = 0; at < size; at += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state & 0x80000000 ? state >>> 24 : (bytes[at - 97] ?? 0);
  }
  return bytes;
}

/** Writes a bundle of these images to `output` and returns its manifest. */
export async function makeBundle(
  output: string,
  images: Readonly<{ root: Uint8Array; uki?: Uint8Array }>,
  options: Partial<WriterOptions> & { about?: Partial<typeof about> } = {},
): Promise<Manifest> {
  await using scratch = await createScratch(output);
  const writer = { scratch, level: 3, signal: noSignal, ...options };
  const { root, verity } = await packRoot(memorySource(images.root), saltFor(about.product), writer);
  const uki = images.uki ? [await packUki(memorySource(images.uki), writer)] : [];
  const written = await writeBundle(output, { ...about, ...options.about }, [verity, root, ...uki], {
    files: realFiles,
    scratch,
    signal: noSignal,
  });
  return written.manifest;
}

/** The same as bytes in memory. */
export async function bundleBytes(
  images: Readonly<{ root: Uint8Array; uki?: Uint8Array }>,
  options: Parameters<typeof makeBundle>[2] = {},
): Promise<{ bytes: Uint8Array; manifest: Manifest; manifestBytes: Uint8Array }> {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'a.bundle');
  const manifest = await makeBundle(path, images, options);
  return { bytes: new Uint8Array(await readFile(path)), manifest, manifestBytes: serializeManifest(manifest) };
}
