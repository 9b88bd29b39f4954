/** Makes an empty repository: root, both delegated roles, snapshot and timestamp. */

import { join } from 'node:path';
import { UpdateError } from '../errors.ts';
import { replaceFile } from '../system/files.ts';
import type { Signer } from './keys.ts';
import { DELEGATED_PATHS, DELEGATED_ROLES, metadataPath, type RoleName, TOP_ROLES } from './names.ts';
import { common, listing, metaOf, type Publisher } from './publish.ts';
import { type Holders, signFile } from './signed-file.ts';

/** The keys of each role, and how many of them must sign. */
export type RoleKeys = Readonly<Record<RoleName, Readonly<{ signers: readonly Signer[]; threshold: number }>>>;

/** Writes version 1 of everything. The bytes of root.json are what goes into images. */
export async function initRepository(publisher: Omit<Publisher, 'signers'>, roles: RoleKeys): Promise<Uint8Array> {
  await refuseExisting(publisher);
  checkThresholds(roles);
  const written = new Map<string, Uint8Array>();
  const put = async (role: RoleName, part: object): Promise<Uint8Array> => {
    const bytes = await signFile({ ...part, ...common(publisher, role, 1) }, roles[role].signers);
    written.set(metadataPath(role, 1), bytes);
    return bytes;
  };
  const root = await put('root', rootPart(roles));
  const meta = {
    'targets.json': metaOf(1, await put('targets', targetsPart(roles))),
    'releases.json': metaOf(1, await put('releases', listing(new Map()))),
    'channels.json': metaOf(1, await put('channels', listing(new Map()))),
  };
  const snapshot = await put('snapshot', { meta });
  await put('timestamp', { meta: { 'snapshot.json': metaOf(1, snapshot) } });
  await write(publisher, written);
  return root;
}

/** timestamp.json is what makes it a repository; a run that was cut off before is simply done again. */
async function refuseExisting({ files, dir }: Omit<Publisher, 'signers'>): Promise<void> {
  if ((await files.read(join(dir, 'metadata/timestamp.json'))) !== undefined)
    throw new UpdateError('repository-exists', `${dir} holds a repository already.`);
}

function checkThresholds(roles: RoleKeys): void {
  for (const [role, { signers, threshold }] of Object.entries(roles))
    if (!Number.isSafeInteger(threshold) || threshold < 1 || threshold > new Set(signers.map((one) => one.keyId)).size)
      throw new UpdateError(
        'usage',
        `The role ${role} has ${signers.length} keys; a threshold of ${threshold} cannot work.`,
      );
}

const publicKeys = (all: readonly Signer[]) => Object.fromEntries(all.map((one) => [one.keyId, one.publicKey]));

const holders = ({ signers, threshold }: RoleKeys[RoleName]): Holders => ({
  keyids: signers.map((one) => one.keyId),
  threshold,
});

const rootPart = (roles: RoleKeys): object => ({
  consistent_snapshot: true,
  keys: publicKeys(TOP_ROLES.flatMap((role) => roles[role].signers)),
  roles: Object.fromEntries(TOP_ROLES.map((role) => [role, holders(roles[role])])),
});

const targetsPart = (roles: RoleKeys): object => ({
  targets: {},
  delegations: {
    keys: publicKeys(DELEGATED_ROLES.flatMap((role) => roles[role].signers)),
    roles: DELEGATED_ROLES.map((role) => ({
      name: role,
      ...holders(roles[role]),
      terminating: true,
      paths: [DELEGATED_PATHS[role]],
    })),
  },
});

async function write(
  { files, dir }: Omit<Publisher, 'signers'>,
  written: ReadonlyMap<string, Uint8Array>,
): Promise<void> {
  await files.makeDir(join(dir, 'metadata'));
  await files.makeDir(join(dir, 'targets'));
  for (const [path, bytes] of written) await replaceFile(files, join(dir, path), bytes);
}
