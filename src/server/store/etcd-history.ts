/** The history of etcd, which nobody asks for: thrown away where all that is in etcd is ours, since it would fill etcd by itself. */

import { asUpdateError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { Etcd, EtcdCare } from '../../system/etcd/etcd.ts';

export type HistoryOptions = Readonly<{
  etcd: Pick<Etcd, 'txn'> & Pick<EtcdCare, 'compact'>;
  clock: Pick<Clock, 'monotonicMs'>;
  /** The keys of the fleet begin with it. */
  prefix: string;
  /** It is, whatever else may be in there. */
  isOurs?: boolean;
}>;

export type History = Readonly<{
  /** So many bytes have been written, up to this revision. */
  wrote(bytes: number, revision: string): void;
  /** Whether nobody else's keys are in etcd; undefined where we may not look. */
  isOurs(): Promise<boolean | undefined>;
  /** When what is under way is done. */
  settled(): Promise<void>;
}>;

/** Whoever writes also cleans up. The last pieces of the history stay, for those who watch keys and lag behind a little. */
export function createHistory({ etcd, clock, prefix, isOurs: isSaidToBe = false }: HistoryOptions): History {
  let written = 0;
  let before: Readonly<{ revision: string; at: number }> | undefined;
  let work: Promise<void> | undefined;
  const isOurs = async () => isSaidToBe || (await holdsNoOthers(etcd, prefix));
  const compact = async (revision: string): Promise<void> => {
    if ((await isOurs()) === true) await etcd.compact(revision);
  };
  return {
    isOurs,
    settled: async () => work,
    wrote: (bytes, revision) => {
      written += bytes;
      const at = clock.monotonicMs();
      before ??= { revision, at };
      if (work || (written < PIECE && at - before.at < REST_MS)) return;
      // A failure is one of etcd, of which those who write hear themselves; the next piece is another chance.
      work = compact(before.revision)
        .catch(() => undefined)
        .finally(() => {
          work = undefined;
        });
      before = { revision, at };
      written = 0;
    },
  };
}

/** In bytes of documents; their keys and what etcd needs besides make two or three of it. */
const PIECE = 512 * 1024;
const REST_MS = 5 * 60_000;

/** Locks and settings of hosts lie below the second, where nobody has chosen otherwise. */
const OTHERS_OF_OURS = 'tandem';

async function holdsNoOthers(etcd: Pick<Etcd, 'txn'>, prefix: string): Promise<boolean | undefined> {
  try {
    const spans = gapsBetween([prefix, OTHERS_OF_OURS]);
    const { ranges } = await etcd.txn({ ops: spans.map(([range, before]) => ({ range, before, limit: 1 })) });
    return ranges.every(({ count }) => count === 0);
  } catch (error) {
    // A user of etcd that may see our keys alone.
    if (asUpdateError(error).code === 'etcd-denied') return undefined;
    throw error;
  }
}

/** All keys but those below the prefixes, as spans of keys; etcd calls the end of all keys "\0". */
export function gapsBetween(prefixes: readonly string[]): readonly (readonly [from: string, before: string])[] {
  const gaps: [string, string][] = [];
  let from = '\0';
  for (const folder of prefixes.map((prefix) => `${prefix}/`).toSorted()) {
    if (folder < from) continue;
    gaps.push([from, folder]);
    from = `${folder.slice(0, -1)}0`;
  }
  return [...gaps, [from, '\0']];
}
