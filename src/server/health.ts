/** Whether hosts that check in are answered, told to anybody at a constant cost. */

import type { Access } from './access/access.ts';
import type { Store } from './store/store.ts';
import type { LastWrite } from './store/watched.ts';

export type ServerHealthWorld = Readonly<{
  store: Pick<Store, 'read' | 'update'>;
  access: Pick<Access, 'readyForHosts'>;
  now(): Date;
  /** How the last write of anybody ended, where that is known. */
  lastWrite?(): LastWrite | undefined;
}>;

/** Fails as a check-in would. The store is asked at most once a second, however many want to know. */
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
    // A store that is full can still be read.
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
/** A store that nobody has written to for longer is written to. */
const WRITTEN_MS = 30_000;
const PROBE = { kind: 'health', id: 'probe' };
