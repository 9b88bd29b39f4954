/** The places where this host may hold a reboot lock: recorded before the lock is requested, until it is released. */

import { join } from 'node:path';
import { CLEAN_LINE, cleanLine } from '../../clean-text.ts';
import { lastOf, list, literal, object, optional, parseDocument, text, words } from '../../formats/shape.ts';
import { GROUP_PATTERN } from '../../model.ts';
import type { Ended } from '../../reboot/gates/locks/lock-client.ts';
import { HOLDER_ID } from '../../reboot/gates/locks/semaphore-document.ts';
import { type Files, replaceFile } from '../../system/files.ts';
import { type Format, inFormat } from '../../system/format.ts';

/** A lock and this host's identity there, as configured when the lock was requested. */
export type LockPlace = Readonly<{
  kind: 'fleetlock' | 'etcd';
  /** Of the server, without the login, or of the etcd members. */
  addresses: readonly string[];
  group: string;
  id: string;
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
  user?: string | undefined;
  passwordFile?: string | undefined;
}>;

/** `owed`: it must be released, since then; with the result of the attempt, if there was one. */
export type KeptPlace = LockPlace & Readonly<{ owed?: Readonly<{ since: string; ended?: Ended }> }>;

export type LockPlaces = Readonly<{
  /** Undefined if nothing was ever recorded here. */
  known(): Promise<readonly KeptPlace[] | undefined>;
  /** In memory from here on; durable when it returns, perhaps not when it throws. */
  keep(places: readonly KeptPlace[]): Promise<void>;
}>;

/** The places in the state directory. An unparsable file counts as empty: it must not stop updates. */
export function openLockPlaces(files: Files, stateDir: string): LockPlaces {
  const file = join(stateDir, NAME);
  let places: readonly KeptPlace[] | undefined;
  let isRead = false;
  return {
    known: async () => {
      if (!isRead) places = understood(await files.read(file));
      isRead = true;
      return places;
    },
    keep: async (now) => {
      const { bytes, value } = inFormat(lockPlacesFormat, now);
      places = value;
      isRead = true;
      await replaceFile(files, file, bytes);
    },
  };
}

export const isSamePlace = (one: LockPlace, other: LockPlace): boolean =>
  one.kind === other.kind &&
  one.group === other.group &&
  one.id === other.id &&
  one.addresses.toSorted().join() === other.addresses.toSorted().join();

const NAME = 'lock.json';

export const lockPlacesFormat: Format<readonly KeptPlace[]> = {
  name: NAME,
  write: (places) => `${JSON.stringify({ schema: 1, places })}\n`,
  read: (bytes) => parseDocument(bytes, MOST_BYTES, 'state-unreadable', NAME, shape).places,
};

function understood(bytes: Uint8Array | undefined): readonly KeptPlace[] | undefined {
  try {
    return bytes && lockPlacesFormat.read(bytes);
  } catch {
    return [];
  }
}

const MOST_BYTES = 1024 * 1024;
/** Few: the configuration changes by hand, and a lock that cannot be released is dropped in the end. */
const MOST_PLACES = 8;

const path = text(/^\/[^\0]*$/, 'an absolute path');
const ended = object({ failed: optional((value, at) => cleanLine(words()(value, at))) }, 'ignore');
const place = object(
  {
    kind: literal('fleetlock', 'etcd'),
    addresses: list(text(/^https?:\/\/\S+$/, 'an address'), 32),
    group: text(GROUP_PATTERN, 'a group'),
    id: text(HOLDER_ID, 'the id of a host'),
    caFile: optional(path),
    certFile: optional(path),
    keyFile: optional(path),
    user: optional(text(CLEAN_LINE, 'the name of a user')),
    passwordFile: optional(path),
    owed: optional(object({ since: text(/^\d{4}-[\dT:.-]{15,20}Z$/, 'a time'), ended: optional(ended) }, 'ignore')),
  },
  'ignore',
);
const shape = object({ schema: literal(1), places: lastOf(place, MOST_PLACES) }, 'ignore');
