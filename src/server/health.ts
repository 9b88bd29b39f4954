/** Whether the server works, told to anybody at a constant cost. */

import type { Store } from './store.ts';

/** Fails as the store does. It is asked at most once a second, however many want to know. */
export function createHealth(store: Pick<Store, 'read'>, now: () => Date): () => Promise<void> {
  let last: Readonly<{ at: number; answer: Promise<unknown> }> | undefined;
  return async () => {
    const at = now().getTime();
    if (!last || Math.abs(at - last.at) >= FRESH_MS) last = { at, answer: store.read(PROBE) };
    await last.answer;
  };
}

const FRESH_MS = 1000;
/** There is none; that is told as fast as anything. */
const PROBE = { kind: 'health', id: 'probe' };
