/** Prepares the next few items while one is used. */

/** The result of `prepare` for each item, in order, with `depth` of them prepared ahead. `turn` counts the items. */
export async function* ahead<Item, Made>(
  items: Iterable<Item>,
  depth: number,
  prepare: (item: Item, turn: number) => Promise<Made>,
): AsyncGenerator<Made> {
  const waiting: Promise<Made>[] = [];
  let turn = 0;
  try {
    for (const item of items) {
      const made = prepare(item, turn++);
      // Its failure is reported when its turn comes.
      made.catch(() => undefined);
      waiting.push(made);
      if (waiting.length > depth) yield await (waiting.shift() as Promise<Made>);
    }
    while (waiting.length > 0) yield await (waiting.shift() as Promise<Made>);
  } finally {
    await Promise.allSettled(waiting);
  }
}
