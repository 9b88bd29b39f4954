/** Remembers when logged-in users were warned, across a restart of the agent but not of the machine. */

import { join } from 'node:path';
import { type Files, replaceFile } from '../../system/files.ts';

export interface Grace {
  /** When they were warned; undefined if they were not, or if that warning has lapsed. */
  warnedAt(now: Date): Promise<Date | undefined>;
  begin(now: Date): Promise<void>;
  end(): Promise<void>;
}

/** In the runtime directory, which tandem.tmpfiles clears after a soft reboot. If it is not writable, a restarted agent warns the users once more. */
export function keptGrace(files: Files, runtimeDir: string, graceMs: number): Grace {
  const path = join(runtimeDir, 'users-told');
  let known: Date | undefined;
  let isRead = false;
  return {
    warnedAt: async (now) => {
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

/** Ignored if it is in the future or expired long ago: the users logged in now were never warned. */
const isMeant = (warnedAt: Date | undefined, graceMs: number, now: Date): Date | undefined =>
  warnedAt && warnedAt <= now && now.getTime() - warnedAt.getTime() <= graceMs + LATE_MS ? warnedAt : undefined;

const LONGEST = 64;
const LATE_MS = 5 * 60_000;
