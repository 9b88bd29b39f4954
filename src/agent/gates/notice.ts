/** A file that is there while a release waits until somebody asks for the reboot: what kured and others look for. */

import { join } from 'node:path';
import type { Release } from '../../model.ts';
import { type Files, replaceFile } from '../../system/files.ts';

/** In the runtime folder, so that it is gone after a restart; after a soft one by tandem.tmpfiles. */
export const noticePath = (runtimeDir: string): string => join(runtimeDir, 'reboot-required');

/** Writes or removes it; where that fails the update goes on, since it is only told. */
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
      log.warn({ err: String(error) }, `${path} cannot be kept`);
    }
  };
}
