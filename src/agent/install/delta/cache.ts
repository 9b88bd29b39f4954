/** The parts of delta files kept between attempts: heads and fetched leaves, so that they are fetched only once. */

import { join } from 'node:path';
import { asUpdateError } from '../../../errors.ts';
import { type Files, removeTemporaries, replaceFile } from '../../../system/files.ts';
import type { Log } from '../../../system/log.ts';

/** Its content is not trusted: the caller checks the digest. A disk error is no reason to stop. */
export interface DeltaCache {
  load(name: string): Promise<Uint8Array | undefined>;
  /** Durably. */
  save(name: string, bytes: Uint8Array): Promise<void>;
  /** Removes all others. */
  keepOnly(names: readonly string[]): Promise<void>;
}

/** In its own folder in the state directory. */
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
