/** Documents as they lie in etcd, and as they were last seen there. */

import type { Pair, Range } from '../../system/etcd/messages.ts';
import { keptDocument, listedDocument } from './kept-document.ts';
import type { Json } from './store.ts';

/** What lay under a key; revision "0" for nothing. */
export type Seen = Readonly<{ document: Json | undefined; revision: string }>;

export const ABSENT: Seen = { document: undefined, revision: '0' };

/** What a read of one key has shown. */
export function seenIn(range: Range | undefined): Seen {
  const [pair] = range?.pairs ?? [];
  return pair ? { document: documentIn(pair), revision: pair.modRevision } : ABSENT;
}

/** The JSON of a value. */
const documentIn = (pair: Pair): Json | undefined => keptDocument(pair.key, () => jsonOf(pair), 'etcd');

/** The same in a list. */
export const documentListed = (pair: Pair): Json | undefined => listedDocument(pair.key, () => jsonOf(pair), 'etcd');

const jsonOf = ({ value }: Pair): Json => JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value)) as Json;

export type Memory = Readonly<{
  get(key: string): Seen;
  set(key: string, seen: Seen): void;
}>;

/** The `most` documents that were seen last; what is not known of is taken for absent, and whoever writes it learns better. */
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
