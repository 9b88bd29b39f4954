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
      'Copy the repository’s metadata/1.root.json there.',
    );
  const bytes = (await tree.read(path, LIMITS.root)) ?? new Uint8Array();
  const root = readRoot(bytes);
  if (typeof root === 'string') return fail(`${path} is not a valid root: ${root}`, COPY_AGAIN);
  const { version, expires } = root.signed;
  const fault = signatureFault(path, bytes, root) ?? (roots && strangerFault(path, version, bytes, roots));
  return fault ?? lifetime(version, new Date(expires).getTime() - now.getTime(), roots !== undefined);
}

const COPY_AGAIN = 'Copy the repository’s metadata/1.root.json again.';

function signatureFault(
  path: string,
  bytes: Uint8Array,
  { signed: { keys, roles } }: RootDocument,
): Finding | undefined {
  const { keyids, threshold } = roles.root;
  const signers = [...signedBy(bytes, keys)].filter((id) => keyids.includes(id)).length;
  if (signers >= threshold) return undefined;
  return fail(`${path} has ${signers} of the ${threshold} signatures that it needs itself.`, COPY_AGAIN);
}

function lifetime(version: number, leftMs: number, isCompared: boolean): Finding {
  // An expired root still starts the chain to a newer one.
  if (leftMs < 0)
    return warn(
      `Version ${version} of the root expired ${duration(-leftMs)} ago.`,
      'Put the repository’s newest root into the image, or make sure that a newer one follows it there.',
    );
  if (leftMs < SOON_MS)
    return warn(
      `Version ${version} of the root expires in ${duration(leftMs)}.`,
      'Sign a newer root: `updatectl repo refresh`.',
    );
  const from = isCompared ? ', and from this repository' : '';
  return ok(`Version ${version} of the root, valid for another ${duration(leftMs)}${from}.`);
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
