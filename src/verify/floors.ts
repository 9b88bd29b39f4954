/** Floors against rollback: versions of metadata, release counters, and the time. Stored apart from the metadata they guard. */

import { UpdateError } from '../errors.ts';
import { integer, list, literal, object, optional, record, text } from '../formats/shape.ts';
import { PRODUCT_PATTERN, SHA256_PATTERN, type Sha256 } from '../model.ts';
import { type Format, inFormat } from '../system/format.ts';
import { readDocument } from './documents.ts';
import type { Holders } from './signed-file.ts';

/** The highest version of a role, and its keys: new keys start over, so that a stolen key cannot block us forever. */
export type Floor = Readonly<{ version: number; keys: string }>;

/** `roots`: the roots of trust under which the floors were raised, by digest of the signed part. They say nothing about other roots. */
export type Floors = Readonly<{
  roots: readonly Sha256[];
  root: number;
  timestamp?: Floor;
  snapshot?: Floor;
  /** The versions in the snapshot, by file; bound to the snapshot's keys. */
  meta: ReadonlyMap<string, number>;
  /** The highest release counter that ran here, by product. */
  counters: ReadonlyMap<string, number>;
  /** The signing time of the newest accepted metadata, or its time of acceptance if earlier: either clock may be ahead. */
  issued?: string;
  /** An operator has confirmed the clock up to this time. */
  waived?: string;
}>;

export const NO_FLOORS: Floors = { roots: [], root: 0, meta: new Map(), counters: new Map() };

/** The largest jump of a version: a stolen key must not be able to use up all numbers. */
export const MAX_JUMP = 1_000_000;

/** Reads floors.json, the most recent floors first. Throws `metadata-invalid` if it is damaged. */
export function readFloors(bytes: Uint8Array): readonly Floors[] {
  const { schema: _, others = [], ...first } = readDocument(bytes, 65_536, 'metadata-invalid', 'floors.json', shape);
  return [first, ...others].map(({ roots = [], ...floors }) => ({ ...floors, roots }));
}

/** Formats floors.json. An agent that knows only one repository reads the first floors. */
export const floorsFormat: Format<readonly Floors[]> = {
  name: 'floors.json',
  write: ([first = NO_FLOORS, ...others]) =>
    `${JSON.stringify({ schema: 1, ...plain(first), others: others.map(plain) })}\n`,
  read: readFloors,
};

export const floorsFile = (floors: readonly Floors[]): Uint8Array => inFormat(floorsFormat, floors).bytes;

/** The floors that apply to a chain of roots, from the image's to the newest. Floors of another root of trust do not apply; only an image can bring one. */
export function floorsUnder(known: readonly Floors[], chain: readonly Sha256[]): Floors {
  const [image, ...newer] = chain;
  const { roots, ...highest } = known.filter((one) => isRaisedUnder(one, chain)).reduce(higher, NO_FLOORS);
  // Keeps the image's root forever, and the newest of the others.
  const kept = new Set([...(image ? [image] : []), ...newer.toReversed(), ...roots]);
  return { ...highest, roots: [...kept].slice(0, MOST_ROOTS) };
}

/** All floors, with these first. Those of other roots are kept, because an image that fails its trial takes its root with it. */
export const withFloors = (known: readonly Floors[], floors: Floors): readonly Floors[] =>
  [floors, ...known.filter((one) => one.roots.length > 0 && !isRaisedUnder(one, floors.roots))].slice(0, MOST_CHAINS);

/** Whether floors belong to a repository with one of these roots. */
export const isRaisedUnder = ({ roots }: Floors, chain: readonly Sha256[]): boolean =>
  roots.some((one) => chain.includes(one));

/** The higher of two floors under one chain of roots; replaced keys do not count. */
function higher(one: Floors, other: Floors): Floors {
  const [older, newer] = one.root > other.root ? [other, one] : [one, other];
  const isSameSnapshot = older.snapshot?.keys === newer.snapshot?.keys;
  return {
    ...older,
    ...newer,
    roots: [...new Set([...newer.roots, ...older.roots])],
    ...floorOf('timestamp', older, newer),
    ...floorOf('snapshot', older, newer),
    meta: isSameSnapshot ? highest(older.meta, newer.meta) : newer.meta,
    counters: highest(older.counters, newer.counters),
    ...latest('issued', older, newer),
    ...latest('waived', older, newer),
  };
}

const floorOf = (role: 'timestamp' | 'snapshot', { [role]: older }: Floors, { [role]: newer }: Floors) =>
  older && (newer === undefined || (older.keys === newer.keys && older.version > newer.version))
    ? { [role]: older }
    : {};

const latest = (name: 'issued' | 'waived', { [name]: one }: Floors, { [name]: other }: Floors) =>
  one !== undefined && (other === undefined || one > other) ? { [name]: one } : {};

const highest = (one: ReadonlyMap<string, number>, other: ReadonlyMap<string, number>): ReadonlyMap<string, number> =>
  new Map([...one, ...other].map(([name]) => [name, Math.max(one.get(name) ?? 0, other.get(name) ?? 0)]));

/** Throws if a version is below its floor, or far above it. */
export function checkVersion(name: string, version: number, floor: number | undefined): void {
  if (!Number.isSafeInteger(version) || version < 1)
    throw new UpdateError('metadata-invalid', `${name} has the version ${version}, which is not a version.`);
  if (floor === undefined) return;
  if (version < floor)
    throw new UpdateError('metadata-rollback', `${name} has version ${version}; this host has seen version ${floor}.`);
  if (version - floor > MAX_JUMP)
    throw new UpdateError('metadata-invalid', `${name} jumps from version ${floor} to ${version}.`);
}

/** A role's floor, if it was set under the keys now in force. */
export const floorUnder = (floor: Floor | undefined, holders: Holders): number | undefined =>
  floor?.keys === keysOf(holders) ? floor.version : undefined;

/** The floor after `version` was accepted. */
export const floorAt = (version: number, holders: Holders): Floor => ({ version, keys: keysOf(holders) });

const keysOf = ({ keyids, threshold }: Holders): string => [threshold, ...[...keyids].sort()].join(' ');

const plain = ({ meta, counters, ...floors }: Floors): object => ({
  ...floors,
  meta: Object.fromEntries(meta),
  counters: Object.fromEntries(counters),
});

const MOST_ROOTS = 64;
const MOST_CHAINS = 4;

const floor = object({ version: integer(1), keys: text(/^[0-9a-f ]{0,4096}$/) });

const moment = text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);

const floors = {
  roots: optional(list(text<Sha256>(SHA256_PATTERN), MOST_ROOTS)),
  root: integer(0),
  timestamp: optional(floor),
  snapshot: optional(floor),
  meta: record(/^[a-z0-9-]{1,32}\.json$/, integer(1), 16),
  counters: record(PRODUCT_PATTERN, integer(0), 64),
  issued: optional(moment),
  waived: optional(moment),
};

const shape = object(
  { schema: literal(1), ...floors, others: optional(list(object(floors, 'ignore'), MOST_CHAINS)) },
  'ignore',
);
