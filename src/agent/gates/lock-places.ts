/** Where this host may hold a lock on rebooting: written down before it is asked for, and for as long as it is not given back. */

import { join } from 'node:path';
import { CLEAN_LINE, cleanLine } from '../../clean-text.ts';
import { lastOf, list, literal, object, optional, parseDocument, text, words } from '../../formats/shape.ts';
import { GROUP_PATTERN } from '../../model.ts';
import type { Ended } from '../../reboot/gates/locks/lock-client.ts';
import { HOLDER_ID } from '../../reboot/gates/locks/semaphore-document.ts';
import { type Files, replaceFile } from '../../system/files.ts';
import { type Format, inFormat } from '../../system/format.ts';

/** A lock and who this host is there, as the configuration had it when the lock was asked for. */
export type LockPlace = Readonly<{
  kind: 'fleetlock' | 'etcd';
  /** Of the server, without a login, or of the members of etcd. */
  addresses: readonly string[];
  group: string;
  id: string;
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
  user?: string | undefined;
  passwordFile?: string | undefined;
}>;

/** `owed`: it is to be given back, since then; with how the attempt ended where one was made. */
export type KeptPlace = LockPlace & Readonly<{ owed?: Readonly<{ since: string; ended?: Ended }> }>;

export type LockPlaces = Readonly<{
  /** Undefined where nothing was ever written down here. */
  known(): Promise<readonly KeptPlace[] | undefined>;
  /** Remembered from here on; durable when it returns, and when it throws perhaps not. */
  keep(places: readonly KeptPlace[]): Promise<void>;
}>;

/** The places in the state directory. What makes no sense counts as nothing: a host must not be without updates for it. */
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
/** The configuration is changed by hand, and what cannot be given back is dropped in the end. */
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
