/** The dead man's marker: tells a timer outside of Node.js which system is on trial, so that one in which we cannot run ends as well. */

import { join } from 'node:path';
import { UpdateError } from '../errors.ts';
import { SHA256_PATTERN, type Sha256, SLOT_NAMES, type SlotName } from '../model.ts';
import { type Files, readTextIfAny, removeFile, replaceFile } from '../system/files.ts';

/**
 * `began`: how often the system on trial has started, as a unit of it has noted. `expired`: the timer has restarted the machine, because nobody
 * settled the trial in time.
 */
export type Marker = Readonly<{ slot: SlotName; rootHash: Sha256; began: number; expired: boolean }>;

export type DeadMan = Readonly<{
  /** Before arming: durable when it returns. */
  set(slot: SlotName): Promise<void>;
  /** After the trial has ended, either way. */
  clear(): Promise<void>;
  /** What the marker says; undefined when there is none, or none that can be read. */
  read(): Promise<Marker | undefined>;
}>;

/**
 * The marker in the state directory. A disk that is full or read-only may not let it go; so that a trial is over is also told in the
 * runtime directory, for as long as the machine runs. `rootHash` tells which root hash the slot's boot entry names, `backend` who starts it.
 */
export const deadMan = (
  files: Files,
  { stateDir, runtimeDir }: Readonly<{ stateDir: string; runtimeDir: string }>,
  backend: string,
  rootHash: (slot: SlotName) => Promise<Sha256 | undefined>,
): DeadMan => {
  const [markerPath, overPath] = [join(stateDir, 'trial'), join(runtimeDir, 'trial-over')];
  const read = async (): Promise<Marker | undefined> => {
    const bytes = await files.read(markerPath);
    return bytes && parseMarker(new TextDecoder().decode(bytes.subarray(0, 4096)));
  };
  return {
    set: async (slot) => {
      const hash = await rootHash(slot);
      if (!hash) throw new UpdateError('boot-entry-missing', `Slot ${slot} has no UKI, so there is nothing to watch.`);
      await files.makeDir(stateDir);
      await files.remove(overPath);
      const text = `slot=${slot}\nroothash=${hash}\nbackend=${backend}\n`;
      await replaceFile(files, markerPath, new TextEncoder().encode(text));
    },
    clear: async () => {
      if (!(await files.read(markerPath))) return;
      const marker = await read();
      const isTold =
        marker !== undefined &&
        (await replaceFile(files, overPath, new TextEncoder().encode(`${marker.rootHash}\n`)).then(
          () => true,
          () => false,
        ));
      await removeFile(files, markerPath).catch((error: unknown) => {
        if (!isTold) throw error;
      });
    },
    read: async () => {
      const marker = await read();
      return marker && (await readTextIfAny(files, overPath)) === marker.rootHash ? undefined : marker;
    },
  };
};

// The shell script of the timer appends a line, and power may fail while it does: an unknown line is no reason to give up.
function parseMarker(text: string): Marker | undefined {
  const fields = new Map(text.split('\n').map((line) => [line.split('=', 1)[0], line.slice(line.indexOf('=') + 1)]));
  const slot = SLOT_NAMES.find((name) => name === fields.get('slot'));
  const rootHash = fields.get('roothash') ?? '';
  if (!slot || !SHA256_PATTERN.test(rootHash)) return undefined;
  return {
    slot,
    rootHash: rootHash as Sha256,
    began: text.split('\n').filter((line) => line.startsWith('began=')).length,
    expired: fields.get('expired') === '1',
  };
}
