/** Adds delta files to a published release. */

import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { UpdateError } from '../../errors.ts';
import type { Sha256 } from '../../model.ts';
import { moveFile, removeFile } from '../../system/files.ts';
import { deltaPath } from '../deltas.ts';
import { type DeltaEntry, MAX_TARGETS, type TargetEntry } from '../documents.ts';
import { storedPath } from '../names.ts';
import { entryOf, type Publisher, publish } from './publish.ts';
import { makeDirDurably, releasesIn } from './publisher.ts';
import { readRepository } from './repository.ts';

/** A built delta, in a file on the repository's file system, from which it is moved. */
export type NewDelta = Readonly<{ file: string; size: number; sha256: Sha256; entry: Omit<DeltaEntry, 'schema'> }>;

/** Signs deltas into `releases` in one step; each replaces one of the same kind. Idempotent. */
export async function addDeltas(publisher: Publisher, deltas: readonly NewDelta[]): Promise<void> {
  if (deltas.length === 0) return;
  const { files, dir } = publisher;
  const repository = await readRepository(files, dir);
  const known = repository.releases.document.signed.targets;
  const manifests = new Set(releasesIn(repository).map((one) => one.manifest.sha256));
  const all = deltas.map((delta): [string, TargetEntry, NewDelta] => {
    if (!manifests.has(delta.entry.manifest))
      throw new UpdateError('release-unknown', `The repository has no ${delta.entry.product} ${delta.entry.version}.`);
    return [pathOf(delta), entryOf(delta.size, delta.sha256, { schema: 1, ...delta.entry }), delta];
  });
  const added = all.filter(([path, entry]) => !isSame(known.get(path), entry));
  if (added.length === 0) return;
  const releases = new Map([...known, ...added.map(([path, entry]) => [path, entry] as const)]);
  if (releases.size > MAX_TARGETS)
    throw new UpdateError('repository-full', `${releases.size} files would be listed; clients accept ${MAX_TARGETS}.`);
  for (const [path, entry, delta] of added) {
    const stored = join(dir, storedPath(path, entry.hashes.sha256));
    await makeDirDurably(publisher, dirname(stored));
    await moveFile(files, delta.file, stored);
  }
  await publish(publisher, repository, { releases });
  for (const [path, entry] of added) {
    const before = known.get(path)?.hashes.sha256;
    if (before !== undefined && before !== entry.hashes.sha256)
      await removeFile(files, join(dir, storedPath(path, before)));
  }
}

/** Whether a delta is already listed, identical and for the same release. */
const isSame = (known: TargetEntry | undefined, entry: TargetEntry): boolean =>
  known?.hashes.sha256 === entry.hashes.sha256 && isDeepStrictEqual(known.custom, entry.custom);

function pathOf({ entry }: NewDelta): string {
  const path = deltaPath({ schema: 1, ...entry });
  if (path === undefined) throw new RangeError(`A ${entry.kind} that does not know where it leads from or to.`);
  return path;
}
