/** Real files on which everything stops after a number of operations. */

import type { Files } from '../../src/system/files.ts';
import { quickFiles } from './tuf-repository.ts';

export class Cut extends Error {}

/** Every operation that changes something counts; the one after the last allowed throws, half of its bytes written. */
export function failingFiles(allowed: number, files: Files = quickFiles): Files & { count(): number } {
  let done = 0;
  const counted = async <T>(step: () => Promise<T>): Promise<T> => {
    if (done >= allowed) throw new Cut(`cut after ${allowed}`);
    done++;
    return await step();
  };
  return {
    count: () => done,
    read: files.read,
    list: files.list,
    makeDir: (dir) => counted(() => files.makeDir(dir)),
    write: async (path, chunks) => {
      const pieces: Uint8Array[] = [];
      for await (const chunk of chunks) pieces.push(chunk);
      const bytes = Buffer.concat(pieces);
      if (done >= allowed) {
        await files.write(path, [bytes.subarray(0, bytes.length / 2)]);
        throw new Cut(`cut after ${allowed}`);
      }
      done++;
      await files.write(path, [bytes]);
    },
    syncFile: (path) => counted(() => files.syncFile(path)),
    rename: (from, to) => counted(() => files.rename(from, to)),
    remove: (path) => counted(() => files.remove(path)),
    syncDir: (dir) => counted(() => files.syncDir(dir)),
  };
}
