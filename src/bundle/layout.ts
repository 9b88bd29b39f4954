/** The layout of a bundle: a pure function of the manifest and its length. */

import { UpdateError } from '../errors.ts';
import type { Role } from '../model.ts';
import { ENTRY_LIMIT, type Manifest, type Sealed } from './manifest.ts';
import { TAR_BLOCK, TAR_END, tarPadding } from './tar.ts';

export const MANIFEST_NAME = 'manifest.json';

export type Part = 'frames' | 'blob';

/** An entry: its header at `header`, its content at `offset`, zero padding up to `end`. */
export type BundleEntry = Readonly<{
  name: string;
  size: number;
  header: number;
  offset: number;
  end: number;
  role?: Role;
  part?: Part;
}>;

/** The entries in order, and the size of the whole bundle, its two final zero blocks included. */
export type Layout = Readonly<{ entries: readonly BundleEntry[]; size: number }>;

/** The layout of the bundle with a manifest of that size. */
export function bundleLayout(manifestSize: number, manifest: Manifest): Layout {
  const entries: BundleEntry[] = [place({ name: MANIFEST_NAME, size: manifestSize }, 0)];
  for (const planned of plannedEntries(manifest)) entries.push(place(planned, entries.at(-1)?.end ?? 0));
  const size = (entries.at(-1)?.end ?? 0) + TAR_END;
  if (!Number.isSafeInteger(size)) throw new UpdateError('image-too-large', 'The bundle would exceed 2^53 bytes.');
  return { entries, size };
}

/** The entry with a part of an image; throws `bundle-entry` if there is none. */
export function entryOf(layout: Layout, role: Role, part: Part): BundleEntry {
  const found = layout.entries.find((entry) => entry.role === role && entry.part === part);
  if (found === undefined) throw new UpdateError('bundle-entry', `The bundle has no ${role} image.`);
  return found;
}

export const entryName = (role: Role, part: Part): string => `${role}.${part === 'blob' ? 'zst' : 'frames'}`;

type Planned = Omit<BundleEntry, 'header' | 'offset' | 'end'>;

const plannedEntries = (manifest: Manifest): Planned[] =>
  manifest.images.flatMap((image) => [
    planned(image.role, 'frames', image.frames),
    planned(image.role, 'blob', image.blob),
  ]);

const planned = (role: Role, part: Part, { size }: Sealed): Planned => ({
  name: entryName(role, part),
  size,
  role,
  part,
});

function place(entry: Planned, header: number): BundleEntry {
  if (entry.size > ENTRY_LIMIT)
    throw new UpdateError(
      'image-too-large',
      `${entry.name} has ${entry.size} bytes; an entry has at most ${ENTRY_LIMIT}.`,
    );
  const offset = header + TAR_BLOCK;
  return { ...entry, header, offset, end: offset + entry.size + tarPadding(entry.size) };
}
