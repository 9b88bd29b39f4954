/** What is kept of delta files between attempts: their heads and fetched leaves, so that nothing of them is fetched twice. */

import { join } from 'node:path';
import { asUpdateError } from '../../../errors.ts';
import { type Files, removeTemporaries, replaceFile } from '../../../system/files.ts';
import type { Log } from '../../../system/log.ts';

/** Nothing that comes out of it is believed: whoever loads checks the digest. Whatever its disk does is no reason to stop. */
export interface DeltaCache {
  load(name: string): Promise<Uint8Array | undefined>;
  /** Durably. */
  save(name: string, bytes: Uint8Array): Promise<void>;
  /** Removes all but these. */
  keepOnly(names: readonly string[]): Promise<void>;
}

/** In a folder of its own below the state directory. */
export function createDeltaCache(files: Files, dir: string, log: Log): DeltaCache {
  const tolerate = <T>(deed: () => Promise<T>): Promise<T | undefined> =>
    deed().catch((error: unknown) => {
      log.warn({ dir, err: asUpdateError(error).message }, 'the delta cache failed');
      return undefined;
    });
  return {
    load: (name) => tolerate(() => files.read(join(dir, name))),
    save: (name, bytes) =>
      tolerate(async () => {
        await files.makeDir(dir);
        await replaceFile(files, join(dir, name), bytes);
      }),
    keepOnly: (names) =>
      tolerate(async () => {
        await removeTemporaries(files, dir);
        for (const name of await files.list(dir)) if (!names.includes(name)) await files.remove(join(dir, name));
      }),
  };
}
