/** What must never go back: versions of metadata, release counters, and the time. Kept apart from the metadata it guards. */

import { UpdateError } from '../errors.ts';
import { PRODUCT_PATTERN } from '../model.ts';
import { integer, literal, object, optional, record, text } from '../system/shape.ts';
import { readDocument } from './documents.ts';
import type { Holders } from './signed-file.ts';

/** The highest version of a role, and whose signatures it had: new keys start anew, or a stolen key could block us for ever. */
export type Floor = Readonly<{ version: number; keys: string }>;

export type Floors = Readonly<{
  root: number;
  timestamp?: Floor;
  snapshot?: Floor;
  /** Versions that the snapshot named, by file; they belong to the snapshot's keys. */
  meta: ReadonlyMap<string, number>;
  /** The highest release counter that ran here, by product. */
  counters: ReadonlyMap<string, number>;
  /** When metadata was last found good, by our clock. */
  latest?: string;
}>;

export const NO_FLOORS: Floors = { root: 0, meta: new Map(), counters: new Map() };

/** A version may not jump further than this: a stolen key must not be able to use up all numbers. */
export const MAX_JUMP = 1_000_000;

/** Reads floors.json; throws `metadata-invalid` when it is torn. */
export const readFloors = (bytes: Uint8Array): Floors =>
  readDocument(bytes, 65_536, 'metadata-invalid', 'floors.json', shape);

/** The bytes of floors.json. */
export const floorsFile = (floors: Floors): Uint8Array =>
  Buffer.from(
    `${JSON.stringify({ schema: 1, ...floors, meta: Object.fromEntries(floors.meta), counters: Object.fromEntries(floors.counters) })}\n`,
  );

/** Throws when a version is below its floor or far above it. */
export function checkVersion(name: string, version: number, floor: number | undefined): void {
  if (!Number.isSafeInteger(version) || version < 1)
    throw new UpdateError('metadata-invalid', `${name} has the version ${version}, which is no version.`);
  if (floor === undefined) return;
  if (version < floor)
    throw new UpdateError('metadata-rollback', `${name} has version ${version}; this host has seen version ${floor}.`);
  if (version - floor > MAX_JUMP)
    throw new UpdateError('metadata-invalid', `${name} jumps from version ${floor} to ${version}.`);
}

/** A role's floor, where it was set under the keys that are in force. */
export const floorUnder = (floor: Floor | undefined, holders: Holders): number | undefined =>
  floor?.keys === keysOf(holders) ? floor.version : undefined;

/** The floor after `version` was accepted. */
export const floorAt = (version: number, holders: Holders): Floor => ({ version, keys: keysOf(holders) });

const keysOf = ({ keyids, threshold }: Holders): string => [threshold, ...[...keyids].sort()].join(' ');

const floor = object({ version: integer(1), keys: text(/^[0-9a-f ]{0,4096}$/) });

const shape = object(
  {
    schema: literal(1),
    root: integer(0),
    timestamp: optional(floor),
    snapshot: optional(floor),
    meta: record(/^[a-z0-9-]{1,32}\.json$/, integer(1), 16),
    counters: record(PRODUCT_PATTERN, integer(0), 64),
    latest: optional(text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)),
  },
  'ignore',
);
