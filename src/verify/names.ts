/** Names and paths in a repository: which roles there are, where each file lies, which characters a name may have. */

import { PRODUCT_PATTERN, type Product, type Sha256, VERSION_PATTERN, type Version } from '../model.ts';

export const TOP_ROLES = ['root', 'targets', 'snapshot', 'timestamp'] as const;
export const DELEGATED_ROLES = ['releases', 'channels'] as const;
export const ROLE_NAMES = [...TOP_ROLES, ...DELEGATED_ROLES] as const;
export type TopRole = (typeof TOP_ROLES)[number];
export type DelegatedRole = (typeof DELEGATED_ROLES)[number];
export type RoleName = (typeof ROLE_NAMES)[number];

/** What each delegated role may list. Literal prefixes only: other patterns can be made to take hours to match. */
export const DELEGATED_PATHS: Readonly<Record<DelegatedRole, string>> = {
  releases: 'releases/*/*',
  channels: 'channels/*',
};

export const CHANNEL_PATTERN = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** Where a release's bundle is listed. */
export const releasePath = (product: Product, version: Version): string => `releases/${product}/${version}.bundle`;

/** Where the file is listed with which a host on any older release fetches only what it lacks. */
export const blocksPath = (product: Product, version: Version): string => `releases/${product}/${version}.blocks`;

/** Where the patch from one release to another is listed. */
export const patchPath = (product: Product, version: Version, from: Version): string =>
  `releases/${product}/${version}.from-${from}.patch`;

/** Where a channel's document is listed. */
export const channelPath = (channel: string): string => `channels/${channel}.json`;

const PRODUCT = body(PRODUCT_PATTERN);
const VERSION = body(VERSION_PATTERN);

/** Every path that a role may list. */
export const PATH_PATTERNS: Readonly<Record<DelegatedRole, RegExp>> = {
  releases: new RegExp(`^releases/${PRODUCT}/${VERSION}\\.(?:bundle|blocks|from-${VERSION}\\.patch)$`),
  channels: new RegExp(`^channels/${body(CHANNEL_PATTERN)}\\.json$`),
};

/** Where the bytes of a listed file lie, from the repository's top: the digest makes every content its own file. */
export function storedPath(path: string, sha256: Sha256): string {
  const cut = path.lastIndexOf('/') + 1;
  return `targets/${path.slice(0, cut)}${sha256}.${path.slice(cut)}`;
}

/** The metadata file of a role, from the repository's top. */
export const metadataPath = (role: RoleName, version: number): string =>
  role === 'timestamp' ? 'metadata/timestamp.json' : `metadata/${version}.${role}.json`;

function body(pattern: RegExp): string {
  return pattern.source.slice(1, -1);
}
