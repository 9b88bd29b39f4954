/** Signed delta files, and the releases they belong to. */

import type { Product, Sha256, Version } from '../model.ts';
import { type DeltaEntry, deltaShape, type TargetEntry } from './documents.ts';
import { blocksPath, patchPath, storedPath } from './names.ts';

/** A patch, for hosts on exactly `from`; or a blocks file, for all others. */
export type TrustedDelta = Readonly<{
  kind: 'blocks' | 'patch';
  /** Its path, relative to the repository. */
  path: string;
  size: number;
  sha256: Sha256;
  head: Readonly<{ size: number; sha256: Sha256 }>;
  from?: Readonly<{ version: Version; rootHash: Sha256; uki?: Sha256 }>;
}>;

/** A listed entry, with the release it leads to. */
export type ListedDelta = TrustedDelta &
  Readonly<{ product: Product; version: Version; manifest: Sha256; listed: string }>;

/** Whether a path is that of a delta, whatever its entry says. */
export const isDeltaPath = (path: string): boolean => path.endsWith('.blocks') || path.endsWith('.patch');

/** The path at which a delta must be listed; undefined if its entry contradicts itself. */
export function deltaPath({ kind, product, version, from }: DeltaEntry): string | undefined {
  if (kind === 'blocks') return from === undefined ? blocksPath(product, version) : undefined;
  return from === undefined ? undefined : patchPath(product, version, from.version);
}

/** The delta described by an entry; throws if it is incomplete or inconsistent. */
export function readDelta(listed: string, entry: TargetEntry): ListedDelta {
  const facts = deltaShape(entry.custom, 'custom');
  if (deltaPath(facts) !== listed) throw new TypeError(`custom describes ${deltaPath(facts) ?? 'nothing'}`);
  if (facts.head.size > entry.length) throw new TypeError('custom.head is larger than the file');
  const { kind, product, version, manifest, head, from } = facts;
  const { sha256 } = entry.hashes;
  const path = storedPath(listed, sha256);
  return { kind, product, version, manifest, head, path, sha256, listed, size: entry.length, ...(from && { from }) };
}

/** All listed deltas, without invalid ones. */
export const deltasIn = (targets: ReadonlyMap<string, TargetEntry>): ListedDelta[] =>
  [...targets].flatMap(([path, entry]) => {
    try {
      return isDeltaPath(path) ? [readDelta(path, entry)] : [];
    } catch {
      return [];
    }
  });

/** The deltas of one release, identified by the digest of its manifest: a version could be published again with other content. */
export const deltasOf = (all: readonly ListedDelta[], manifest: Sha256): readonly TrustedDelta[] =>
  all
    .filter((one) => one.manifest === manifest)
    .map(({ kind, path, size, sha256, head, from }) => ({ kind, path, size, sha256, head, ...(from && { from }) }));
