/** Since when those who are logged in know of the restart: kept where an agent that is started anew finds it, and a machine does not. */

import { join } from 'node:path';
import { type Files, replaceFile } from '../../system/files.ts';

export interface Grace {
  /** When they were told; undefined where nobody was, or where what was said then cannot be meant any more. */
  told(now: Date): Promise<Date | undefined>;
  begin(now: Date): Promise<void>;
  end(): Promise<void>;
}

/** In the runtime folder, from which tandem.tmpfiles takes it after a soft reboot. Where that cannot be written, an agent that is started anew tells them once more. */
export function keptGrace(files: Files, runtimeDir: string, graceMs: number): Grace {
  const path = join(runtimeDir, 'users-told');
  let known: Date | undefined;
  let isRead = false;
  return {
    told: async (now) => {
      if (!isRead) known = isMeant(parse(await files.read(path).catch(() => undefined)), graceMs, now);
      isRead = true;
      return known;
    },
    begin: async (now) => {
      known = now;
      isRead = true;
      await replaceFile(files, path, new TextEncoder().encode(`${now.toISOString()}\n`)).catch(() => undefined);
    },
    end: async () => {
      if (isRead && known === undefined) return;
      known = undefined;
      isRead = true;
      await files.remove(path).catch(() => undefined);
    },
  };
}

const SHAPE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\n$/;

function parse(bytes: Uint8Array | undefined): Date | undefined {
  const text = new TextDecoder().decode(bytes?.subarray(0, LONGEST));
  const found = SHAPE.test(text) ? new Date(text.trim()) : undefined;
  return found && !Number.isNaN(found.getTime()) ? found : undefined;
}

/** Not by another clock, and not long after it has run out: whoever is there by now was told nothing. */
const isMeant = (told: Date | undefined, graceMs: number, now: Date): Date | undefined =>
  told && told <= now && now.getTime() - told.getTime() <= graceMs + LATE_MS ? told : undefined;

const LONGEST = 64;
const LATE_MS = 5 * 60_000;
