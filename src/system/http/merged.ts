/** Merges streams: items as they come, none more than one item ahead. */

/** The items of all streams in order of arrival; the first failure, or stopping early, ends all. */
export async function* merged<T>(streams: readonly AsyncGenerator<T>[], stop: AbortController): AsyncGenerator<T> {
  const ready: (() => T | undefined)[] = [];
  let wake = (): void => {};
  let running = streams.length;
  const advance = (stream: AsyncGenerator<T>): void => {
    const put = (take: () => T | undefined): void => {
      ready.push(take);
      wake();
    };
    stream.next().then(
      ({ done, value }) => {
        if (done === true) running -= 1;
        put(() => {
          if (done !== true) advance(stream);
          return done === true ? undefined : value;
        });
      },
      (error: unknown) => put(() => raise(error)),
    );
  };
  for (const stream of streams) advance(stream);
  try {
    while (running > 0 || ready.length > 0) {
      while (ready.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      const item = ready.shift()?.();
      if (item !== undefined) yield item;
    }
  } finally {
    stop.abort();
    await Promise.allSettled(streams.map((stream) => stream.return(undefined)));
  }
}

function raise(error: unknown): never {
  throw error;
}
