/** A file that exists while a release waits for a requested reboot; kured and others look for it. */

import { join } from 'node:path';
import type { Release } from '../../model.ts';
import { type Files, replaceFile } from '../../system/files.ts';

/** In the runtime folder, so that a restart removes it; after a soft reboot, tandem.tmpfiles does. */
export const noticePath = (runtimeDir: string): string => join(runtimeDir, 'reboot-required');

/** Writes or removes it; a failure does not stop the update, since the file only informs. */
export function rebootNotice(
  files: Files,
  runtimeDir: string,
  log: Readonly<{ warn(details: object, sentence: string): void }>,
): (release: Release | undefined) => Promise<void> {
  const path = noticePath(runtimeDir);
  let told: string | undefined;
  return async (release) => {
    const text = release ? `${release.product} ${release.version} waits for a reboot: updatectl apply\n` : '';
    if (text === told) return;
    try {
      if (text === '') await files.remove(path);
      else await replaceFile(files, path, new TextEncoder().encode(text));
      told = text;
    } catch (error) {
      log.warn({ err: String(error) }, `${path} cannot be updated`);
    }
  };
}
