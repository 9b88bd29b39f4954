/** Finds the word that was probably meant. Pure. */

/** The most similar known word, if it is similar enough. */
export function nearestWord(given: string, known: readonly string[]): string | undefined {
  const [best] = known
    .map((word) => ({ word, far: isMixedUp(given, word) ? 1 : distance(given, word) }))
    .sort((one, two) => one.far - two.far);
  return best && best.far <= Math.max(1, Math.floor(best.word.length / 3)) ? best.word : undefined;
}

/** “, did you mean “url”?”, or nothing. */
export function suggestion(given: string, known: readonly string[]): string {
  const word = nearestWord(given, known);
  return word === undefined ? '' : ` Did you mean “${word}”?`;
}

/** The same letters in another order. */
const isMixedUp = (one: string, two: string): boolean => [...one].sort().join() === [...two].sort().join();

/** The number of letters to change, add or remove. */
function distance(one: string, two: string): number {
  let row = Array.from({ length: two.length + 1 }, (_, index) => index);
  for (const [done, letter] of [...one].entries()) {
    const next = [done + 1];
    for (const [index, other] of [...two].entries()) {
      const changed = (row[index] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(changed, (row[index + 1] ?? 0) + 1, (next[index] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
