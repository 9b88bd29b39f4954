/** Lets concurrent callers share one read. */

/**
 * Each caller gets the result of a read that began after its call, so it never misses what was written before it asked. Callers who arrive
 * during a read share the next one. A failed read fails only for those who share it.
 */
export function sharedRead<T>(read: () => Promise<T>): () => Promise<T> {
  let running: Promise<unknown> = Promise.resolve();
  let next: Promise<T> | undefined;
  const begin = (): Promise<T> => {
    next = undefined;
    const promise = read();
    running = promise;
    return promise;
  };
  return () => {
    next ??= running.then(begin, begin);
    return next;
  };
}
