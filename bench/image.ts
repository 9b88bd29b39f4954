/** An image of any size that compresses like a real system: what this machine has under /usr, one file after the other. */

import { closeSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Fills `path` with exactly `size` bytes; the same machine gives the same bytes. */
export function makeImage(path: string, size: number): void {
  const file = openSync(path, 'w');
  let done = 0;
  let round = 0;
  while (done < size) {
    const before = done;
    for (const source of walk('/usr')) {
      if (done >= size) break;
      const bytes = readFileSync(source);
      // Files begin at blocks, as in a file system; a second round is shifted so that it does not repeat the first one's blocks.
      const padded = Buffer.alloc(Math.ceil((bytes.length + round) / BLOCK) * BLOCK);
      bytes.copy(padded, round);
      done += writeSync(file, padded, 0, Math.min(padded.length, size - done));
    }
    if (done === before) throw new Error('/usr holds no files to build an image from');
    round++;
  }
  closeSync(file);
}

const BLOCK = 4096;
const LARGEST = 64 * 1024 * 1024;

function* walk(dir: string): Generator<string> {
  const entries = readdirSync(dir, { withFileTypes: true }).sort((one, other) => (one.name < other.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else if (entry.isFile() && statSync(path).size <= LARGEST) yield path;
  }
}
