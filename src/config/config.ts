/** The effective configuration: drop-ins merged in order, every key checked, with the origin of each value. */

import { dirname } from 'node:path';
import { UpdateError } from '../errors.ts';
import type { Files } from '../system/files.ts';
import { checkFleet, type FleetSetting } from './fleet.ts';
import { type CacheReading, readFleetCache } from './fleet-cache.ts';
import { type Fragment, type Given, readFragment, readFragments, readSound, toleratedIn } from './fragments.ts';
import { KEYS } from './keys.ts';
import type { AnyKey, Key, Preset } from './types.ts';

/** A host's own drop-ins: read last, because they are all that is specific to it where `/etc` belongs to the image. */
export const HOST_CONFIG_DIR = '/var/lib/tandem/config.d';

export const CONFIG_DIRS = [
  '/usr/lib/tandem/config.d',
  '/etc/tandem/config.d',
  '/run/tandem/config.d',
  HOST_CONFIG_DIR,
] as const;

type Camel<S extends string> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S;
type Keys = typeof KEYS;
type ValueOf<K> = K extends Preset<infer T> ? T : K extends Key<infer T> ? T | undefined : never;

export type Config = {
  readonly [S in keyof Keys]: { readonly [K in keyof Keys[S] as Camel<K & string>]: ValueOf<Keys[S][K]> };
};

/** A value and its origin: `file:line`, `etcd:key:line` or `default`. `value` is undefined if unset. */
export type Setting = Readonly<{
  path: string;
  value: unknown;
  origin: string | undefined;
  sentence: string;
  unit?: string;
}>;

/** Uses the valid parts of faulty drop-ins; for diagnosis only, never for acting on the host. */
export const resolveSound = (fragments: readonly Fragment[]): Config =>
  resolved(explained(fragments.flatMap((fragment) => readSound(fragment, KEYS))));

/** Merges key by key: the last fragment wins; the fleet's value applies if no fragment sets the key. */
export function resolveConfig(fragments: readonly Fragment[], fleet: readonly FleetSetting[] = []): Config {
  return resolved(explainConfig(fragments, fleet));
}

function resolved(all: readonly Setting[]): Config {
  const settings = new Map(all.map((setting) => [setting.path, setting.value]));
  const sections = Object.entries(KEYS).map(([section, keys]) => [
    section,
    Object.fromEntries(Object.keys(keys).map((name) => [camelCase(name), settings.get(`${section}.${name}`)])),
  ]);
  // The type is derived from the table, and every value has been checked against it.
  return Object.fromEntries(sections) as Config;
}

/** Every key with its effective value, in the order of the table. */
export function explainConfig(fragments: readonly Fragment[], fleet: readonly FleetSetting[] = []): readonly Setting[] {
  const local = fragments.flatMap((fragment) => readFragment(fragment, KEYS));
  return explained([...checkFleet(fleet).given, ...local]);
}

function explained(all: readonly Given[]): readonly Setting[] {
  const given = new Map(all.map((one) => [one.path, one] as const));
  return allKeys().map(([path, { fallback, sentence, unit }]) => {
    const one = given.get(path);
    const origin = one?.origin ?? (fallback === undefined ? undefined : 'default');
    return { path, value: one ? one.value : fallback, origin, sentence, ...(unit === undefined ? {} : { unit }) };
  });
}

/** The drop-ins of this host with their `unknown` keys that are tolerated, and below them the last known settings of its fleet. */
export type Layers = Readonly<{ fragments: readonly Fragment[]; unknown: readonly UpdateError[] }> & CacheReading;

export async function readLayers(
  files: Pick<Files, 'list' | 'read'>,
  dirs: readonly string[] = CONFIG_DIRS,
): Promise<Layers> {
  const fragments = await readFragments(files, dirs, HOST_CONFIG_DIR).catch(throwDenied);
  const unknown = fragments.flatMap((fragment) => toleratedIn(fragment, KEYS));
  const { agent, fleet } = resolveConfig(fragments);
  if (fleet.settingsPrefix === undefined) return { fragments, unknown, faults: [] };
  return { fragments, unknown, ...(await readFleetCache(files, agent.stateDir, fleet.settingsPrefix)) };
}

/** The drop-ins in the agent's runtime and state directories are readable only for root and its group. */
function throwDenied(error: unknown): never {
  const { code, path = '' } = error as NodeJS.ErrnoException;
  if (code === 'EACCES' && CONFIG_DIRS.slice(2).some((dir) => path.startsWith(dirname(dir))))
    throw new UpdateError('agent-denied', `This user may not read ${path}.`, { cause: error });
  throw error;
}

/** The configuration with which this host's agent last started. */
export async function loadConfig(
  files: Pick<Files, 'list' | 'read'>,
  dirs: readonly string[] = CONFIG_DIRS,
): Promise<Config> {
  const { fragments, cache } = await readLayers(files, dirs);
  return resolveConfig(fragments, cache?.started);
}

/** A required value; throws `config-invalid` if unset. */
export function requireSetting(config: Config, path: 'host.product' | 'repository.url'): string {
  const value = path === 'host.product' ? config.host.product : config.repository.url;
  if (value !== undefined) return value;
  throw new UpdateError('config-invalid', `${path} is not set; set it in ${CONFIG_DIRS[1]}/, for example.`);
}

export const allKeys = (): readonly (readonly [string, AnyKey])[] =>
  Object.entries(KEYS).flatMap(([section, keys]) =>
    Object.entries(keys as Readonly<Record<string, AnyKey>>).map(([name, one]) => [`${section}.${name}`, one] as const),
  );

/** A key's name in code. */
const camelCase = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
