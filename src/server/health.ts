/** The health check: whether check-ins would be answered, at a constant cost. */

import type { Access } from './access/access.ts';
import type { Store } from './store/store.ts';
import type { LastWrite } from './store/watched.ts';

export type ServerHealthWorld = Readonly<{
  store: Pick<Store, 'read' | 'update'>;
  access: Pick<Access, 'readyForHosts'>;
  now(): Date;
  /** The result of the last write, if known. */
  lastWrite?(): LastWrite | undefined;
}>;

/** Throws as a check-in would. Asks the store at most once a second, for any number of requests. */
export function createHealth({
  store,
  access,
  now,
  lastWrite = () => undefined,
}: ServerHealthWorld): () => Promise<void> {
  let last: Readonly<{ at: number; answer: Promise<unknown> }> | undefined;
  let own: LastWrite | undefined;
  const isWritten = (at: number): boolean =>
    [lastWrite(), own].some((write) => write?.isDone === true && Math.abs(at - write.at) < WRITTEN_MS);
  const probe = async (at: number): Promise<void> => {
    await access.readyForHosts();
    // A full store is still readable.
    if (lastWrite()?.isDone !== false && isWritten(at)) return void (await store.read(PROBE));
    await store.update([PROBE], () => ({ write: [{ schema: 1, at: new Date(at).toISOString() }], result: undefined }));
    own = { at, isDone: true };
  };
  return async () => {
    const at = now().getTime();
    if (!last || Math.abs(at - last.at) >= FRESH_MS) last = { at, answer: probe(at) };
    await last.answer;
  };
}

const FRESH_MS = 1000;
/** Writes a probe if there has been no write for longer than this. */
const WRITTEN_MS = 30_000;
const PROBE = { kind: 'health', id: 'probe' };
