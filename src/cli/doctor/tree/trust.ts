/** Whether hosts with this tree will trust the repository that they are meant to use. */

import { asUpdateError } from '../../../errors.ts';
import { LIMITS, type RootDocument, readDocument, rootShape } from '../../../verify/documents.ts';
import { signedBy, signedDigest } from '../../../verify/signed-file.ts';
import { duration } from '../../units.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';
import type { TreeWorld } from './world.ts';

export async function trustRoot({ tree, config: { trust }, with: { roots }, now }: TreeWorld): Promise<Finding> {
  const path = trust.rootFile;
  if ((await tree.find(path))?.kind !== 'file')
    return fail(
      `${path} is missing: hosts would trust no repository.`,
      `Copy the repository’s metadata/1.root.json there.`,
    );
  const bytes = (await tree.read(path, LIMITS.root)) ?? new Uint8Array();
  const root = readRoot(bytes);
  if (typeof root === 'string')
    return fail(`${path} is not a valid root: ${root}`, 'Copy the repository’s metadata/1.root.json again.');
  const { version, expires, roles } = root.signed;
  const signers = [...signedBy(bytes, root.signed.keys)].filter((id) => roles.root.keyids.includes(id)).length;
  if (signers < roles.root.threshold)
    return fail(
      `${path} has ${signers} of the ${roles.root.threshold} signatures that it needs itself.`,
      'Copy the repository’s metadata/1.root.json again.',
    );
  const stranger = roots && strangerFault(path, version, bytes, roots);
  if (stranger) return stranger;
  const left = new Date(expires).getTime() - now.getTime();
  // An expired root still starts the chain to a newer one.
  if (left < 0)
    return warn(
      `Version ${version} of the root expired ${duration(-left)} ago.`,
      'Put the repository’s newest root into the image, or make sure that a newer one follows it there.',
    );
  if (left < SOON_MS)
    return warn(
      `Version ${version} of the root expires in ${duration(left)}.`,
      'Sign a newer root: `updatectl repo refresh`.',
    );
  return ok(
    `Version ${version} of the root, valid for another ${duration(left)}${roots ? ', and from this repository' : ''}.`,
  );
}

const SOON_MS = 30 * 86_400_000;

function readRoot(bytes: Uint8Array): RootDocument | string {
  try {
    return readDocument(bytes, LIMITS.root, 'metadata-invalid', 'root.json', rootShape);
  } catch (error) {
    return asUpdateError(error).message;
  }
}

/** The same document may have more signatures in the repository. */
function strangerFault(
  path: string,
  version: number,
  bytes: Uint8Array,
  roots: ReadonlyMap<number, Uint8Array>,
): Finding | undefined {
  const its = roots.get(version);
  if (its !== undefined && signedDigest(its) === signedDigest(bytes)) return undefined;
  return fail(
    its === undefined
      ? `${path} is version ${version} of a root, which the repository does not have.`
      : `${path} is the root of another repository.`,
    'Copy metadata/1.root.json of this repository.',
  );
}
