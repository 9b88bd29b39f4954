/** A disk on which there is nothing, and which keeps nothing. */

import type { Files } from '../../src/system/files.ts';

const nothing = async (): Promise<void> => {};

export const noFiles: Files = {
  read: async () => undefined,
  list: async () => [],
  makeDir: nothing,
  write: nothing,
  syncFile: nothing,
  rename: nothing,
  remove: nothing,
  syncDir: nothing,
};
