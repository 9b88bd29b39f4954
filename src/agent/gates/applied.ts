/** Remembers that an operator asked for the reboot, across a restart of the agent but not of the machine. */

import { join } from 'node:path';
import { type Files, replaceFile } from '../../system/files.ts';

/** `since`: when the release was staged, which identifies it. */
export interface Applied {
  isFor(since: string): Promise<boolean>;
  keep(since: string): Promise<void>;
  forget(): Promise<void>;
}

/** Keeps nothing. */
export const unkeptApplied: Applied = { isFor: async () => false, keep: async () => {}, forget: async () => {} };

/** In the runtime folder. If that is not writable, the operator must repeat the request after the agent restarts. */
export function keptApplied(files: Files, runtimeDir: string): Applied {
  const path = join(runtimeDir, 'applied');
  return {
    isFor: async (since) => {
      const bytes = await files.read(path).catch(() => undefined);
      return bytes !== undefined && bytes.length <= LONGEST && new TextDecoder().decode(bytes) === `${since}\n`;
    },
    keep: (since) => replaceFile(files, path, new TextEncoder().encode(`${since}\n`)).catch(() => {}),
    forget: () => files.remove(path).catch(() => {}),
  };
}

const LONGEST = 64;
