/** What the system in an image will be configured to do, with the files that a new /var adds; and what it lacks. */

import type { ImageFiles } from '../../bundle/image/image-files.ts';
import type { Manifest } from '../../bundle/manifest.ts';
import { rootOf } from '../../bundle/manifest.ts';
import { CONFIG_DIRS, type Config, HOST_CONFIG_DIR, resolveSound } from '../../config/config.ts';
import { type Fragment, readFragments } from '../../config/fragments.ts';
import type { BackendName } from '../../model.ts';
import type { VarFile } from './var-image.ts';

export const VAR_TRUST_ROOT = '/var/lib/tandem/root.json';
/** First among its neighbours: a given file may override it. */
const OWN_FILE = `${HOST_CONFIG_DIR}/00-disk.toml`;

/** The image's own files; undefined if its file system cannot be read. */
export type System = Readonly<{ files: ImageFiles; fragments: readonly Fragment[] }>;

/** Reads the configuration in the image. */
export async function systemIn(files: ImageFiles | undefined): Promise<System | undefined> {
  if (!files) return undefined;
  const inImage = CONFIG_DIRS.filter((dir) => dir.startsWith('/usr/') || dir.startsWith('/etc/'));
  return { files, fragments: await readFragments(files, inImage) };
}

export type Wishes = Readonly<{
  backend: BackendName;
  trustRoot: Uint8Array | undefined;
  /** Given files, by their names in `HOST_CONFIG_DIR`. */
  given: readonly Fragment[];
}>;

/** The files for a new /var, and the configuration that results. */
export type Additions = Readonly<{ files: readonly VarFile[]; config: Config }>;

/** What the disk requires, then the given settings. */
export function varFiles(system: System | undefined, manifest: Manifest, wishes: Wishes): Additions {
  const own = ownSettings(system, manifest, wishes);
  const ownFile = own.length === 0 ? [] : [{ path: OWN_FILE, text: tomlOf(own) }];
  const fragments = [...ownFile, ...wishes.given];
  const files = fragments.map(({ path, text }) => ({ path, bytes: new TextEncoder().encode(text) }));
  const root = wishes.trustRoot === undefined ? [] : [{ path: VAR_TRUST_ROOT, bytes: wishes.trustRoot }];
  return { files: [...root, ...files], config: resolveSound([...(system?.fragments ?? []), ...fragments]) };
}

type Setting = readonly [section: string, key: string, value: string];

/** What this disk requires and the image does not say. Of an image that cannot be read, everything. */
function ownSettings(system: System | undefined, manifest: Manifest, { backend, trustRoot, given }: Wishes): Setting[] {
  const config = resolveSound([...(system?.fragments ?? []), ...given]);
  const isAppended = rootOf(manifest).verity.hashOffset !== undefined;
  const needed: readonly (readonly [Setting, string])[] = [
    [['boot', 'backend', backend], config.boot.backend],
    [['slots', 'a_verity', isAppended ? '' : config.slots.aVerity || 'root-a-verity'], config.slots.aVerity],
    [['slots', 'b_verity', isAppended ? '' : config.slots.bVerity || 'root-b-verity'], config.slots.bVerity],
  ];
  const differing = needed.filter(([[, , wanted], found]) => wanted !== found).map(([setting]) => setting);
  return [...differing, ...(trustRoot === undefined ? [] : [['trust', 'root_file', VAR_TRUST_ROOT] as const])];
}

function tomlOf(settings: readonly Setting[]): string {
  const lines = settings.map(([section, key, value]) => `${section}.${key} = ${JSON.stringify(value)}\n`);
  return `# What this disk requires: written by \`updatectl image build\`.\n${lines.join('')}`;
}

/** What keeps the system from updating itself: `faults` can never be right, `warnings` may be intended. */
export async function lacks(
  system: System | undefined,
  manifest: Manifest,
  { files, config }: Additions,
): Promise<Readonly<{ faults: readonly string[]; warnings: readonly string[] }>> {
  const { product } = config.host;
  const root = config.trust.rootFile;
  const hasRoot = files.some(({ path }) => path === root) || (await fileIn(system, root)) !== undefined;
  const isGiven = product !== undefined || config.repository.url !== undefined || hasRoot;
  if (!system && !isGiven)
    return {
      faults: [],
      warnings: [
        'The root image cannot be looked into: check that it has a trust root, and settings with product and repository.',
      ],
    };
  return {
    faults:
      product !== undefined && product !== manifest.product
        ? [`host.product is ${product}, but the bundle is of ${manifest.product}`]
        : [],
    warnings: [
      ...(hasRoot || !system
        ? []
        : [`The system has no trust root at ${root}: it will install nothing. Pass --trust-root.`]),
      ...missing('host.product', product, system),
      ...missing('repository.url', config.repository.url, system),
    ],
  };
}

/** A file of the image; undefined also if the image contradicts itself there. */
export const fileIn = async (system: System | undefined, path: string): Promise<Uint8Array | undefined> =>
  system?.files.read(path).catch(() => undefined);

const missing = (key: string, value: string | undefined, system: System | undefined): string[] =>
  value !== undefined || !system ? [] : [`Nothing sets ${key}: the system will find no updates. Pass --config.`];
