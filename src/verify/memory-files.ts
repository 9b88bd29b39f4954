/** Files in memory, for checks that must leave nothing behind. */

import { dirname } from 'node:path';
import type { Files } from '../system/files.ts';

export function memoryFiles(): Files {
  const content = new Map<string, Uint8Array>();
  const nothing = async (): Promise<void> => {};
  return {
    read: async (path) => content.get(path),
    list: async (dir) =>
      [...content.keys()].filter((path) => dirname(path) === dir).map((path) => path.slice(dir.length + 1)),
    makeDir: nothing,
    write: async (path, chunks) => {
      const pieces: Uint8Array[] = [];
      for await (const chunk of chunks) pieces.push(chunk);
      content.set(path, Buffer.concat(pieces));
    },
    syncFile: nothing,
    rename: async (from, to) => {
      const bytes = content.get(from);
      if (bytes !== undefined) content.set(to, bytes);
      content.delete(from);
    },
    remove: async (path) => void content.delete(path),
    syncDir: nothing,
  };
}
