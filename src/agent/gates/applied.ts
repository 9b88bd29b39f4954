/** That an operator has asked for the reboot into what is staged: an agent that is started anew finds it, and a machine does not. */

import { join } from 'node:path';
import { type Files, replaceFile } from '../../system/files.ts';

/** `since`: when the release was staged, which tells one from the next. */
export interface Applied {
  isFor(since: string): Promise<boolean>;
  keep(since: string): Promise<void>;
  forget(): Promise<void>;
}

/** Where nothing is kept. */
export const unkeptApplied: Applied = { isFor: async () => false, keep: async () => {}, forget: async () => {} };

/** In the runtime folder. Where that cannot be written, an agent that is started anew has to be told again. */
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
