/** Batched updates of the etcd store: compared, written, and verified even if the answer was lost. */

import { asUpdateError, UpdateError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { Etcd } from '../../system/etcd/etcd.ts';
import type { Answer, Op } from '../../system/etcd/messages.ts';
import { type Memory, seenIn } from './etcd-documents.ts';
import type { Mark } from './etcd-mark.ts';
import { PATIENCE_MS, type Patience } from './etcd-patience.ts';
import { type Outcome, type Played, play } from './play.ts';
import { type Json, SCHEMA } from './store.ts';

/** An update waiting for its batch. */
export type Job = Played & Readonly<{ resolve(result: unknown): void; reject(error: unknown): void }>;

export type CommitWorld = Readonly<{
  etcd: Etcd;
  clock: Clock;
  memory: Memory;
  mark: Mark;
  schemaKey: string;
  patience: Patience;
  wrote?(bytes: number, revision: string): void;
}>;

/** Settles every job of a batch. A server runs one batch at a time, because its mark could not distinguish several. */
export async function commitBatch(world: CommitWorld, jobs: readonly Job[]): Promise<void> {
  try {
    const outcomes = await commit(world, jobs);
    for (const [at, { resolve, reject }] of jobs.entries()) {
      const outcome = outcomes[at];
      if (outcome && 'result' in outcome) resolve(outcome.result);
      else reject(outcome?.error);
    }
  } catch (error) {
    // An impossible job must not block the others.
    if (jobs.length > 1 && !OUT_OF_REACH.has(asUpdateError(error).code))
      for (const job of jobs) await commitBatch(world, [job]);
    else for (const { reject } of jobs) reject(error);
  }
}

const OUT_OF_REACH = new Set<string>([
  'etcd-unavailable',
  'etcd-denied',
  'etcd-full',
  'store-contended',
  'store-newer',
]);

/** Guesses the current documents, writes only if the guess was right, and learns from wrong guesses. */
async function commit(world: CommitWorld, jobs: readonly Job[]): Promise<readonly Outcome[]> {
  const { clock, mark, memory, patience, schemaKey } = world;
  const keys = [...new Set(jobs.flatMap((job) => job.keys))];
  const tried = new Map<Json | undefined, readonly Outcome[]>();
  const until = clock.monotonicMs() + PATIENCE_MS;
  for (let tries = 0; ; tries++) {
    schemaDue(schemaKey, memory);
    const { after, outcomes } = play(jobs, (key) => memory.get(key).document);
    const name = mark.next();
    tried.set(name, outcomes);
    const isDone = await swap(world, keys, after, name).catch((error: unknown) =>
      mark.isLost(error) && tries < 10 ? undefined : patience.after(error, tries),
    );
    if (isDone === undefined) continue;
    patience.renew();
    if (isDone) return outcomes;
    const done = tried.get(memory.get(mark.key).document);
    if (done) return done;
    if (clock.monotonicMs() > until) throw new UpdateError('store-contended');
    await patience.pause(tries);
  }
}

/** False if the guess was wrong; the actual document is then known. */
async function swap(
  { etcd, memory, mark, schemaKey, wrote }: CommitWorld,
  keys: readonly string[],
  after: ReadonlyMap<string, Json | undefined>,
  name: number,
): Promise<boolean> {
  const all = [mark.key, schemaKey, ...keys];
  const written = after.size === 0 ? after : new Map([...schemaDue(schemaKey, memory), ...after]);
  const puts = [...written].map(([key, document]) => putOf(key, document));
  const ops = puts.length === 0 ? [] : [putOf(mark.key, name, await mark.lease()), ...puts];
  const answer = await etcd.txn({
    compare: all.map((key) => ({ key, modRevision: memory.get(key).revision })),
    ops,
    otherwise: all.map((key) => ({ range: key })),
  });
  if (!answer.succeeded) for (const [at, key] of all.entries()) memory.set(key, seenIn(answer.ranges[at]));
  else {
    // Compared by every update, so never evicted.
    memory.set(schemaKey, memory.get(schemaKey));
    if (puts.length > 0) wrote?.(sizeOf(ops), answer.revision);
    if (puts.length > 0)
      for (const [key, document] of [[mark.key, name] as const, ...written]) keep(memory, key, document, answer);
  }
  return answer.succeeded;
}

/**
 * The store's schema number, if not written yet; a store without one has the first schema. Every update compares it, so that a running
 * server stops writing once a newer one raises it.
 */
function schemaDue(key: string, memory: Memory): readonly (readonly [string, Json])[] {
  const { document } = memory.get(key);
  if (document === undefined) return [[key, SCHEMA]];
  if (document === SCHEMA) return [];
  if (typeof document !== 'number' || document < SCHEMA)
    throw new UpdateError('store-document-invalid', `The value of ${key} in etcd is not a schema number.`);
  throw new UpdateError(
    'store-newer',
    `The store in etcd has schema ${document} (${key}); this server knows ${SCHEMA}.`,
  );
}

const keep = (memory: Memory, key: string, document: Json | undefined, { revision }: Answer): void =>
  memory.set(key, { document, revision: document === undefined ? '0' : revision });

const sizeOf = (ops: readonly Op[]): number => ops.reduce((sum, op) => sum + ('put' in op ? op.value.length : 0), 0);

const putOf = (key: string, document: Json | undefined, lease = '0'): Op =>
  document === undefined
    ? { delete: key }
    : { put: key, value: new TextEncoder().encode(JSON.stringify(document)), lease };
