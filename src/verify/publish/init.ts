/** Creates an empty repository: root, both delegated roles, snapshot and timestamp. */

import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { replaceFile } from '../../system/files.ts';
import { keyIdOf, type PublicKey } from '../keys.ts';
import { DELEGATED_PATHS, DELEGATED_ROLES, metadataPath, type RoleName, TOP_ROLES } from '../names.ts';
import { type Holders, signersFor, signFile } from '../signed-file.ts';
import { common, listing, metaOf, type Publisher } from './publish.ts';

/** The public keys and threshold of each role. */
export type RoleKeys = Readonly<Record<RoleName, Readonly<{ keys: readonly PublicKey[]; threshold: number }>>>;

/** Writes version 1 of all metadata. The bytes of root.json go into images. */
export async function initRepository(publisher: Publisher, roles: RoleKeys): Promise<Uint8Array> {
  await refuseExisting(publisher);
  checkThresholds(roles);
  const written = new Map<string, Uint8Array>();
  const put = async (role: RoleName, part: object): Promise<Uint8Array> => {
    const signers = signersFor(role, holders(roles[role]), publisher.signers);
    const bytes = await signFile({ ...part, ...common(publisher, role, 1) }, signers);
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

/** Without timestamp.json it is not a repository yet; an interrupted run is simply repeated. */
async function refuseExisting({ files, dir }: Publisher): Promise<void> {
  if ((await files.read(join(dir, 'metadata/timestamp.json'))) !== undefined)
    throw new UpdateError('repository-exists', `${dir} holds a repository already.`);
}

function checkThresholds(roles: RoleKeys): void {
  for (const [role, { keys, threshold }] of Object.entries(roles))
    if (!Number.isSafeInteger(threshold) || threshold < 1 || threshold > new Set(keys.map(keyIdOf)).size)
      throw new UpdateError(
        'usage',
        `The role ${role} has ${keys.length} keys; a threshold of ${threshold} cannot work.`,
      );
}

const byId = (keys: readonly PublicKey[]) => Object.fromEntries(keys.map((key) => [keyIdOf(key), key]));

const holders = ({ keys, threshold }: RoleKeys[RoleName]): Holders => ({ keyids: keys.map(keyIdOf), threshold });

const rootPart = (roles: RoleKeys): object => ({
  consistent_snapshot: true,
  keys: byId(TOP_ROLES.flatMap((role) => roles[role].keys)),
  roles: Object.fromEntries(TOP_ROLES.map((role) => [role, holders(roles[role])])),
});

const targetsPart = (roles: RoleKeys): object => ({
  targets: {},
  delegations: {
    keys: byId(DELEGATED_ROLES.flatMap((role) => roles[role].keys)),
    roles: DELEGATED_ROLES.map((role) => ({
      name: role,
      ...holders(roles[role]),
      terminating: true,
      paths: [DELEGATED_PATHS[role]],
    })),
  },
});

async function write({ files, dir }: Publisher, written: ReadonlyMap<string, Uint8Array>): Promise<void> {
  await files.makeDir(join(dir, 'metadata'));
  await files.makeDir(join(dir, 'targets'));
  for (const [path, bytes] of written) await replaceFile(files, join(dir, path), bytes);
}
