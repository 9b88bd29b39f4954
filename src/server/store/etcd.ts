/** The etcd store, shared by several servers. The cost of an update does not depend on the number of documents. */

import type { Clock } from '../../system/clock.ts';
import type { Etcd } from '../../system/etcd/etcd.ts';
import type { Answer, Op } from '../../system/etcd/messages.ts';
import type { Random } from '../../system/random.ts';
import { inBatches } from './batches.ts';
import { commitBatch, type Job } from './etcd-commit.ts';
import { createMemory, documentListed, type Memory, seenIn } from './etcd-documents.ts';
import { createMark } from './etcd-mark.ts';
import { createPatience } from './etcd-patience.ts';
import type { Change, Json, Key, Page, Store } from './store.ts';

export type EtcdStoreOptions = Readonly<{
  etcd: Etcd;
  clock: Clock;
  random: Random;
  /** The prefix of all keys; two fleets in one etcd need two. */
  prefix: string;
  /** Notified of writes. */
  wrote?(bytes: number, revision: string): void;
}>;

/** The store below `prefix` in `etcd`. */
export function etcdStore(options: EtcdStoreOptions): Store {
  const { prefix } = options;
  const patience = createPatience(options.clock, options.random);
  const world = {
    ...options,
    memory: createMemory(),
    mark: createMark(options),
    schemaKey: `${prefix}/schema`,
    patience,
  };
  const ask: Ask = (ops) => patience.with(() => options.etcd.txn({ ops }));
  const nameOf = ({ kind, id }: Key): string => `${prefix}/${kind}/${id}`;
  const update = inBatches<Job>(
    MOST_KEYS,
    ({ keys }) => keys.length,
    (jobs) => commitBatch(world, jobs),
  );
  const read = inBatches<Reading>(
    MOST_KEYS,
    () => 1,
    (jobs) => readAll(ask, world.memory, jobs),
  );
  return {
    read: (key) => new Promise((resolve, reject) => read({ key: nameOf(key), resolve, reject })),
    list: (kind, limit, after = '') => list(ask, `${prefix}/${kind}`, limit, after),
    count: async (kind) => {
      const { ranges } = await ask([{ ...all(`${prefix}/${kind}`), limit: 'none' }]);
      return ranges[0]?.count ?? 0;
    },
    update: <T>(keys: readonly Key[], change: (documents: readonly (Json | undefined)[]) => Change<T>) =>
      new Promise<T>((resolve, reject) =>
        update({ keys: keys.map(nameOf), change, resolve: (result) => resolve(result as T), reject }),
      ),
    [Symbol.asyncDispose]: world.mark.close,
  };
}

/** etcd accepts 128 operations and 1.5 MiB per transaction. */
const MOST_KEYS = 64;

type Reading = Readonly<{ key: string; resolve(document: Json | undefined): void; reject(error: unknown): void }>;

/** A consistent read of the current documents. */
type Ask = (ops: readonly Op[]) => Promise<Answer>;

async function readAll(ask: Ask, memory: Memory, jobs: readonly Reading[]): Promise<void> {
  try {
    const { ranges } = await ask(jobs.map(({ key }) => ({ range: key })));
    for (const [at, job] of jobs.entries())
      try {
        const seen = seenIn(ranges[at]);
        memory.set(job.key, seen);
        job.resolve(seen.document);
      } catch (error) {
        job.reject(error);
      }
  } catch (error) {
    for (const { reject } of jobs) reject(error);
  }
}

/** In pages of a hundred, because etcd's answers are bounded. */
async function list(ask: Ask, folder: string, limit: number, after: string): Promise<Page> {
  const documents: { id: string; document: Json }[] = [];
  for (let [last, seen] = [after, 0]; ; ) {
    const amount = Math.min(100, limit - seen);
    if (amount === 0) return { documents, next: last };
    const span = { ...all(folder), ...(last === '' ? {} : { range: `${folder}/${last}\0` }), limit: amount };
    const { ranges } = await ask([span]);
    const pairs = ranges[0]?.pairs ?? [];
    for (const pair of pairs) {
      last = pair.key.slice(folder.length + 1);
      const document = documentListed(pair);
      if (document !== undefined) documents.push({ id: last, document });
    }
    if (pairs.length < amount) return { documents };
    seen += pairs.length;
  }
}

const all = (folder: string) => ({ range: `${folder}/`, before: `${folder}0` });
