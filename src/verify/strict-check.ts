/** Requirements on metadata beyond the TUF library's: versions, dates, names, counts, delegations. */

import { UpdateError } from '../errors.ts';
import type { Check } from '../formats/shape.ts';
import {
  LIMITS,
  readDocument,
  rootShape,
  snapshotShape,
  type TargetsDocument,
  targetsShape,
  timestampShape,
} from './documents.ts';
import { DELEGATED_PATHS, DELEGATED_ROLES, PATH_PATTERNS, ROLE_NAMES, type RoleName } from './names.ts';

/** Throws `metadata-invalid` if a file breaks one of our rules, `metadata-newer` if it has a newer format. */
export function checkStrictly(role: string, bytes: Uint8Array): void {
  const known = ROLE_NAMES.find((one) => one === role);
  if (known === undefined) throw new UpdateError('metadata-invalid', `There is no role ${role}.`);
  readDocument(bytes, LIMITS[known], 'metadata-invalid', `${role}.json`, (value, path) => {
    refuseNewer(value, role);
    return SHAPES[known](value, path);
  });
}

/** A targets role, checked in the same way. */
export const readTargets = (role: 'targets' | 'releases' | 'channels', bytes: Uint8Array): TargetsDocument =>
  readDocument(bytes, LIMITS[role], 'metadata-invalid', `${role}.json`, SHAPES[role]);

/** The top role has exactly our delegations, and lists no files itself. */
const topTargets: Check<TargetsDocument> = (value, path) => {
  const document = targetsShape(/^(?!)/)(value, path);
  const roles = document.signed.delegations?.roles ?? [];
  for (const role of DELEGATED_ROLES) {
    const found = roles.filter((one) => one.name === role);
    if (found.length !== 1 || found[0]?.paths[0] !== DELEGATED_PATHS[role])
      throw new TypeError(`${path} must delegate ${DELEGATED_PATHS[role]} to ${role}, once`);
  }
  return document;
};

/** A delegated role must not delegate further. */
const delegated =
  (paths: RegExp): Check<TargetsDocument> =>
  (value, path) => {
    const document = targetsShape(paths)(value, path);
    if (document.signed.delegations !== undefined) throw new TypeError(`${path} must not delegate further`);
    return document;
  };

const SHAPES = {
  root: rootShape,
  timestamp: timestampShape,
  snapshot: snapshotShape,
  targets: topTargets,
  releases: delegated(PATH_PATTERNS.releases),
  channels: delegated(PATH_PATTERNS.channels),
} satisfies Record<RoleName, Check<unknown>>;

/** Any JSON, before its kind is known. */
type Anything = Readonly<{ signed?: Readonly<{ spec_version?: unknown }> | null }> | null;

function refuseNewer(value: unknown, role: string): void {
  const given = (value as Anything)?.signed?.spec_version;
  if (typeof given === 'string' && /^\d+\./.test(given) && !given.startsWith('1.'))
    throw new UpdateError(
      'metadata-newer',
      `${role}.json follows version ${given} of the TUF specification; this agent knows 1.x.`,
    );
}
