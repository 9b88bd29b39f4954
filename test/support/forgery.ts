/** Takes a real bundle apart and puts it together again with lies in it. */

import { hash } from 'node:crypto';
import { parseFrameTable } from '../../src/bundle/frames.ts';
import { bundleLayout, entryOf, type Part } from '../../src/bundle/layout.ts';
import { type Image, type Manifest, manifestDigest } from '../../src/bundle/manifest.ts';
import type { ExpectedManifest } from '../../src/bundle/reader.ts';
import { tarHeader, tarPadding } from '../../src/bundle/tar.ts';
import type { Role, Sha256 } from '../../src/model.ts';

/** One entry as it will be written. */
export type ForgedEntry = { name: string; content: Uint8Array; patch?: (header: Uint8Array) => void; padding?: number };

/** Writes entries and `end` behind them; a patched header gets a right checksum unless `keepChecksum`. */
export async function assemble(
  entries: readonly ForgedEntry[],
  { end = new Uint8Array(1024), keepChecksum = false }: { end?: Uint8Array; keepChecksum?: boolean } = {},
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (const { name, content, patch, padding = 0 } of entries) {
    const header = await tarHeader(name, content.length);
    patch?.(header);
    if (patch && !keepChecksum) fixChecksum(header);
    parts.push(header, content, new Uint8Array(tarPadding(content.length)).fill(padding));
  }
  return Buffer.concat([...parts, end]);
}

/** The entries of a bundle. */
export function entriesOf(bytes: Uint8Array, manifest: Manifest, manifestSize: number): ForgedEntry[] {
  return bundleLayout(manifestSize, manifest).entries.map(({ name, offset, size }) => ({
    name,
    content: bytes.slice(offset, offset + size),
  }));
}

/** The content of one entry. */
export function partOf(
  bytes: Uint8Array,
  manifest: Manifest,
  manifestSize: number,
  role: Role,
  part: Part,
): Uint8Array {
  const { offset, size } = entryOf(bundleLayout(manifestSize, manifest), role, part);
  return bytes.slice(offset, offset + size);
}

export const expectation = (manifestBytes: Uint8Array): ExpectedManifest => ({
  sha256: manifestDigest(manifestBytes),
  size: manifestBytes.length,
});

/** The image with other frames, and the table that says so: everything agrees, as a publisher's mistake or malice would have it. */
export function withFrames(
  image: Image,
  frames: readonly Uint8Array[],
): { image: Image; table: Uint8Array; blob: Uint8Array } {
  const table = tableOf(frames);
  const blob = Buffer.concat(frames);
  return { image: { ...image, frames: sealed(table), blob: sealed(blob) }, table, blob };
}

export function framesOf(table: Uint8Array, blob: Uint8Array, image: Image): Uint8Array[] {
  const { offsets, count } = parseFrameTable(table, image, blob.length);
  return Array.from({ length: count }, (_, index) => blob.slice(offsets[index], offsets[index + 1]));
}

export function tableOf(frames: readonly Uint8Array[]): Uint8Array {
  const table = Buffer.alloc(frames.length * 36);
  frames.forEach((frame, index) => {
    table.writeUInt32LE(frame.length, index * 36);
    table.set(hash('sha256', frame, 'buffer'), index * 36 + 4);
  });
  return new Uint8Array(table);
}

export const sealed = (bytes: Uint8Array): { size: number; sha256: Sha256 } => ({
  size: bytes.length,
  sha256: hash('sha256', bytes, 'hex') as Sha256,
});

function fixChecksum(header: Uint8Array): void {
  header.fill(32, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.set(Buffer.from(`${sum.toString(8).padStart(6, '0')} \0`, 'latin1'), 148);
}
