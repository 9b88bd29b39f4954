/** Documents in etcd, and their last known state. */

import type { Pair, Range } from '../../system/etcd/messages.ts';
import { keptDocument, listedDocument } from './kept-document.ts';
import type { Json } from './store.ts';

/** The value under a key; revision "0" if there is none. */
export type Seen = Readonly<{ document: Json | undefined; revision: string }>;

export const ABSENT: Seen = { document: undefined, revision: '0' };

/** The result of reading one key. */
export function seenIn(range: Range | undefined): Seen {
  const [pair] = range?.pairs ?? [];
  return pair ? { document: documentIn(pair), revision: pair.modRevision } : ABSENT;
}

/** A value as JSON. */
const documentIn = (pair: Pair): Json | undefined => keptDocument(pair.key, () => jsonOf(pair), 'etcd');

/** The same in a list. */
export const documentListed = (pair: Pair): Json | undefined => listedDocument(pair.key, () => jsonOf(pair), 'etcd');

const jsonOf = ({ value }: Pair): Json => JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value)) as Json;

export type Memory = Readonly<{
  get(key: string): Seen;
  set(key: string, seen: Seen): void;
}>;

/** The `most` documents seen last; unknown ones are assumed absent, and a write corrects that. */
export function createMemory(most = 2000): Memory {
  const known = new Map<string, Seen>();
  return {
    get: (key) => known.get(key) ?? ABSENT,
    set: (key, seen) => {
      known.delete(key);
      known.set(key, seen);
      const [oldest] = known.size > most ? known.keys() : [];
      if (oldest !== undefined) known.delete(oldest);
    },
  };
}
