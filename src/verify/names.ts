/** Names and paths in a repository: roles, the locations of files, and valid characters. */

import { PRODUCT_PATTERN, type Product, type Sha256, VERSION_PATTERN, type Version } from '../model.ts';

export const TOP_ROLES = ['root', 'targets', 'snapshot', 'timestamp'] as const;
export const DELEGATED_ROLES = ['releases', 'channels'] as const;
export const ROLE_NAMES = [...TOP_ROLES, ...DELEGATED_ROLES] as const;
export type TopRole = (typeof TOP_ROLES)[number];
export type DelegatedRole = (typeof DELEGATED_ROLES)[number];
export type RoleName = (typeof ROLE_NAMES)[number];

/** The paths of each delegated role. Literal prefixes only: other patterns can be made to take hours to match. */
export const DELEGATED_PATHS: Readonly<Record<DelegatedRole, string>> = {
  releases: 'releases/*/*',
  channels: 'channels/*',
};

export const CHANNEL_PATTERN = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** The target path of a release's bundle. */
export const releasePath = (product: Product, version: Version): string => `releases/${product}/${version}.bundle`;

/** The target path of a release's blocks file, for hosts on any older release. */
export const blocksPath = (product: Product, version: Version): string => `releases/${product}/${version}.blocks`;

/** The target path of the patch from one release to another. */
export const patchPath = (product: Product, version: Version, from: Version): string =>
  `releases/${product}/${version}.from-${from}.patch`;

/** The target path of a channel's document. */
export const channelPath = (channel: string): string => `channels/${channel}.json`;

const PRODUCT = body(PRODUCT_PATTERN);
const VERSION = body(VERSION_PATTERN);

/** Whether a role may list the path. */
export const PATH_PATTERNS: Readonly<Record<DelegatedRole, RegExp>> = {
  releases: new RegExp(`^releases/${PRODUCT}/${VERSION}\\.(?:bundle|blocks|from-${VERSION}\\.patch)$`),
  channels: new RegExp(`^channels/${body(CHANNEL_PATTERN)}\\.json$`),
};

/** The file of a listed target, relative to the repository; its name contains the digest, so that content never changes. */
export function storedPath(path: string, sha256: Sha256): string {
  const cut = path.lastIndexOf('/') + 1;
  return `targets/${path.slice(0, cut)}${sha256}.${path.slice(cut)}`;
}

/** The metadata file of a role, relative to the repository. */
export const metadataPath = (role: RoleName, version: number): string =>
  role === 'timestamp' ? 'metadata/timestamp.json' : `metadata/${version}.${role}.json`;

function body(pattern: RegExp): string {
  return pattern.source.slice(1, -1);
}
