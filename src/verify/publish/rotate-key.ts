/** Replaces a role's key, or renews a role before it expires; clients accept the repository at every step. */

import { join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import { replaceFile } from '../../system/files.ts';
import type { PublicKey, Signer } from '../keys.ts';
import { type DelegatedRole, metadataPath, type RoleName, type TopRole } from '../names.ts';
import { type Holders, signersForAll, signFile } from '../signed-file.ts';
import { type Changes, common, type Delegations, type Publisher, publish, republish } from './publish.ts';
import { holdersOf, isSigned, keysFor, type Repository, readRepository } from './repository.ts';
import { timesOf } from './signing-time.ts';

export type Rotation = Readonly<{
  role: RoleName;
  /** The id of the replaced key. Its private half is needed among the publisher's signers, unless it is lost. */
  oldKeyId: string;
  /** The new key. */
  newSigner: Signer;
}>;

/** Replaces the old key with the new one. Idempotent. */
export async function rotateKey(given: Publisher, rotation: Rotation): Promise<void> {
  const { role, oldKeyId, newSigner } = rotation;
  const publisher = { ...given, signers: [...given.signers, newSigner] };
  const repository = await readRepository(publisher.files, publisher.dir);
  const before = holdersOf(repository, role);
  if (before.keyids.includes(newSigner.keyId)) return finish(publisher, repository, role, before);
  if (!before.keyids.includes(oldKeyId))
    throw new UpdateError('key-unknown', `${oldKeyId.slice(0, 12)}… is not a key of the role ${role}.`);
  const after = {
    keyids: before.keyids.map((id) => (id === oldKeyId ? newSigner.keyId : id)),
    threshold: before.threshold,
  };
  if (role === 'releases' || role === 'channels') return rotateDelegated(publisher, repository, role, after, newSigner);
  const root = await nextRoot(publisher, repository, { role, after, key: newSigner });
  if (role === 'root') return writeRoot(publisher, root);
  // Checks the clock before the new root is written.
  for (const one of [role, 'snapshot', 'timestamp'] as const) timesOf(publisher, one, repository[one].document.signed);
  if (canSign(publisher, before)) {
    // Signed by both keys first, so that hosts with either root accept it.
    await resign(publisher, repository, role, { holders: { [role]: [before, after] } });
    return writeRoot(publisher, root);
  }
  await writeRoot(publisher, root);
  await resign(publisher, repository, role, { holders: { [role]: [after] }, unsignedByUs: role });
}

/** Signs a role again with a new expiry. */
export async function renewRole(publisher: Publisher, role: RoleName): Promise<void> {
  const repository = await readRepository(publisher.files, publisher.dir);
  if (role === 'root') return writeRoot(publisher, await nextRoot(publisher, repository));
  await resign(publisher, repository, role, {});
}

type NewRoot = Readonly<{ version: number; bytes: Uint8Array }>;
type Replacement = Readonly<{ role: TopRole; after: Holders; key: Signer }>;

async function nextRoot(publisher: Publisher, repository: Repository, replacement?: Replacement): Promise<NewRoot> {
  const { signed } = repository.root.document;
  const version = signed.version + 1;
  const roles = replacement === undefined ? signed.roles : { ...signed.roles, [replacement.role]: replacement.after };
  const keys = new Map(signed.keys);
  if (replacement !== undefined) keys.set(replacement.key.keyId, replacement.key.publicKey);
  const part = {
    ...common(publisher, 'root', version, signed),
    consistent_snapshot: true,
    keys: inUse(keys, Object.values(roles)),
    roles,
  };
  // Old keys prove the origin of the new root to clients, new ones their own existence.
  const signers = signersForAll('root', [signed.roles.root, roles.root], publisher.signers);
  return { version, bytes: await signFile(part, signers) };
}

const writeRoot = ({ files, dir }: Publisher, { version, bytes }: NewRoot): Promise<void> =>
  replaceFile(files, join(dir, metadataPath('root', version)), bytes);

async function rotateDelegated(
  publisher: Publisher,
  repository: Repository,
  role: DelegatedRole,
  after: Holders,
  key: Signer,
): Promise<void> {
  const current = repository.targets.document.signed.delegations ?? { keys: new Map(), roles: [] };
  const roles = current.roles.map((one) => (one.name === role ? { ...one, ...after } : one));
  const keys = new Map(Object.entries(inUse(new Map([...current.keys, [key.keyId, key.publicKey]]), roles)));
  const targets: Delegations = { ...current, keys, roles };
  await publish(publisher, repository, {
    isCeremony: true,
    targets,
    [role]: repository[role].document.signed.targets,
    holders: { [role]: [after] },
    unsignedByUs: role,
  });
}

/** For a rotation interrupted after the new root was written, when the role itself still has its old signatures. */
async function finish(publisher: Publisher, repository: Repository, role: RoleName, holders: Holders): Promise<void> {
  if (role === 'root' || isSigned(repository[role], { holders, keys: keysFor(repository, role) })) return;
  await resign(publisher, repository, role, { unsignedByUs: role });
}

async function resign(
  publisher: Publisher,
  repository: Repository,
  role: Exclude<RoleName, 'root'>,
  changes: Changes,
): Promise<void> {
  const ceremony = { ...changes, isCeremony: true };
  if (role === 'timestamp') return republish(publisher, repository, ceremony);
  if (role === 'snapshot') return publish(publisher, repository, ceremony);
  if (role !== 'targets')
    return publish(publisher, repository, { ...ceremony, [role]: repository[role].document.signed.targets });
  const targets = repository.targets.document.signed.delegations;
  await publish(publisher, repository, { ...ceremony, ...(targets === undefined ? {} : { targets }) });
}

function canSign(publisher: Publisher, holders: Holders): boolean {
  const given = new Set(publisher.signers.map((signer) => signer.keyId));
  return holders.keyids.filter((id) => given.has(id)).length >= holders.threshold;
}

/** Keys still named by some role. */
const inUse = (
  keys: ReadonlyMap<string, PublicKey>,
  roles: readonly Readonly<{ keyids: readonly string[] }>[],
): Record<string, PublicKey> =>
  Object.fromEntries([...keys].filter(([id]) => roles.some((role) => role.keyids.includes(id))));
