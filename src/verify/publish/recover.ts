/** Repairs a repository that was changed by two publishers without a common lock, so that no host is stuck. */

import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { statOf } from '../../system/files.ts';
import { LIMITS, readDocument, targetsShape } from '../documents.ts';
import { DELEGATED_ROLES, type DelegatedRole, PATH_PATTERNS, storedPath } from '../names.ts';
import { type Publisher, publish } from './publish.ts';
import { readRepository, type Unused, VERSIONED_ROLES, type VersionedRole } from './repository.ts';

/** A role whose newest signed file was not in use. */
export type Recovered = Readonly<{ role: VersionedRole; was: number; is: number }>;

/** Puts the newest signed file of each role into use, and signs snapshot and timestamp above any version that hosts may have seen. Needs no offline key. */
export async function recoverRepository(publisher: Publisher): Promise<readonly Recovered[]> {
  const repository = await readRepository(publisher.files, publisher.dir);
  const adopted = new Map([...repository.unused].filter(([role]) => role !== 'snapshot'));
  for (const role of DELEGATED_ROLES) await mustBeWhole(publisher, role, adopted.get(role));
  await publish(publisher, repository, { adopted, lift: LIFT });
  const after = await readRepository(publisher.files, publisher.dir);
  const versionOf = (one: typeof after, role: VersionedRole): number => one[role].document.signed.version;
  return VERSIONED_ROLES.filter((role) => adopted.has(role)).map((role) => ({
    role,
    was: versionOf(repository, role),
    is: versionOf(after, role),
  }));
}

/** Timestamps leave no old files to count; two publishers at work sign fewer than this. */
const LIFT = 1000;

/** The files that a role lists must still exist; `repo verify` reads them completely. */
async function mustBeWhole({ dir }: Publisher, role: DelegatedRole, file: Unused | undefined): Promise<void> {
  if (!file) return;
  const name = `${file.version}.${role}.json`;
  const { signed } = readDocument(
    file.bytes,
    LIMITS[role],
    'repository-damaged',
    name,
    targetsShape(PATH_PATTERNS[role]),
  );
  for (const [path, entry] of signed.targets)
    if ((await statOf(join(dir, storedPath(path, entry.hashes.sha256))))?.size !== entry.length)
      throw new UpdateError(
        'repository-damaged',
        `${name} was signed and is not in use, and lists ${path}, which is missing or changed.`,
      );
}
