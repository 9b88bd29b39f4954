/** The fleet's settings as last read from etcd, cached on disk for when etcd is unreachable. */

import { join } from 'node:path';
import { asUpdateError } from '../errors.ts';
import { list, literal, object, parseDocument, text } from '../formats/shape.ts';
import { type Files, replaceFile } from '../system/files.ts';
import { type Format, inFormat } from '../system/format.ts';
import { checkFleet, type FleetFault, type FleetSetting } from './fleet.ts';

/** `latest`: as last read. `started`: those in force when the agent last started between two attempts. */
export type FleetCache = Readonly<{
  prefix: string;
  savedAt: string;
  latest: readonly FleetSetting[];
  started: readonly FleetSetting[];
}>;

export type CacheReading = Readonly<{ cache?: FleetCache; faults: readonly FleetFault[] }>;

/** Never throws: an unreadable cache counts as empty, and settings that are no longer valid are dropped. */
export async function readFleetCache(
  files: Pick<Files, 'read'>,
  stateDir: string,
  prefix: string,
): Promise<CacheReading> {
  try {
    const bytes = await files.read(cachePath(stateDir), MOST_BYTES);
    if (!bytes) return { faults: [] };
    const cache = fleetCacheFormat.read(bytes);
    // Cached from another prefix.
    if (cache.prefix !== prefix) return { faults: [] };
    return { cache, faults: checkFleet(cache.latest).faults };
  } catch (error) {
    const { message } = asUpdateError(error);
    return { faults: [{ code: 'settings-cache-invalid', message }] };
  }
}

/** Replaces the cache atomically. */
export const writeFleetCache = async (files: Files, stateDir: string, cache: FleetCache): Promise<void> =>
  replaceFile(files, cachePath(stateDir), inFormat(fleetCacheFormat, cache).bytes);

const NAME = 'fleet-settings.json';

export const fleetCacheFormat: Format<FleetCache> = {
  name: NAME,
  write: (cache) => `${JSON.stringify({ schema: 1, ...cache })}\n`,
  read: (bytes) => {
    const { schema: _, ...cache } = parseDocument(bytes, MOST_BYTES, 'settings-cache-invalid', NAME, shape);
    return cache;
  },
};

const cachePath = (stateDir: string): string => join(stateDir, NAME);

const MOST_BYTES = 8 * 1024 * 1024;
const printable = text(/^[\x20-\x7e]{1,1024}$/, 'printable text');
const settings = list(
  object({
    path: text(/^\w{1,64}\.\w{1,64}$/, 'a key path'),
    key: printable,
    origin: printable,
    written: (value: unknown) => value,
  }),
  4096,
);
const shape = object({
  schema: literal(1),
  prefix: printable,
  savedAt: text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'a time'),
  latest: settings,
  started: settings,
});
