/** Compacts etcd's history if all keys are ours, because it would eventually fill etcd. */

import { asUpdateError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { Etcd, EtcdCare } from '../../system/etcd/etcd.ts';

export type HistoryOptions = Readonly<{
  etcd: Pick<Etcd, 'txn'> & Pick<EtcdCare, 'compact'>;
  clock: Pick<Clock, 'monotonicMs'>;
  /** The prefix of the fleet's keys. */
  prefix: string;
  /** It is compacted, whatever else etcd contains. */
  isOurs?: boolean;
}>;

export type History = Readonly<{
  /** Called with the bytes written up to this revision. */
  wrote(bytes: number, revision: string): void;
  /** Whether etcd contains only our keys; undefined without permission to check. */
  isOurs(): Promise<boolean | undefined>;
  /** Resolves when running work is done. */
  settled(): Promise<void>;
}>;

/** Writers also compact. The recent history stays for watchers that lag a little. */
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
      // A failure of etcd also reaches the writers; the next round tries again.
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

/** In bytes of documents; with keys and etcd's overhead, two or three times as much. */
const PIECE = 512 * 1024;
const REST_MS = 5 * 60_000;

/** The second is the default prefix of locks and host settings. */
const OTHERS_OF_OURS = 'tandem';

async function holdsNoOthers(etcd: Pick<Etcd, 'txn'>, prefix: string): Promise<boolean | undefined> {
  try {
    const spans = gapsBetween([prefix, OTHERS_OF_OURS]);
    const { ranges } = await etcd.txn({ ops: spans.map(([range, before]) => ({ range, before, limit: 1 })) });
    return ranges.every(({ count }) => count === 0);
  } catch (error) {
    // An etcd user that can read only our keys.
    if (asUpdateError(error).code === 'etcd-denied') return undefined;
    throw error;
  }
}

/** All keys outside the prefixes, as ranges; etcd writes the end of all keys as "\0". */
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
