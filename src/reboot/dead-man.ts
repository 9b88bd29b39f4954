/** The dead man's marker: names the system on trial for a timer outside of Node.js, so that a trial in which the agent cannot run ends too. */

import { join } from 'node:path';
import { UpdateError } from '../errors.ts';
import { SHA256_PATTERN, type Sha256, SLOT_NAMES, type SlotName } from '../model.ts';
import { type Files, readTextIfAny, removeFile, replaceFile } from '../system/files.ts';

/**
 * `began`: the number of boots of the system on trial, recorded by a unit. `expired`: the timer restarted the machine because the trial was
 * not settled in time.
 */
export type Marker = Readonly<{ slot: SlotName; rootHash: Sha256; began: number; expired: boolean }>;

export type DeadMan = Readonly<{
  /** Sets the marker before arming; durable on return. */
  set(slot: SlotName): Promise<void>;
  /** Clears the marker after the trial, whatever its result. */
  clear(): Promise<void>;
  /** Reads the marker; undefined if there is none, or an unreadable one. */
  read(): Promise<Marker | undefined>;
}>;

/**
 * The marker in the state directory. A full or read-only disk may keep it from being removed, so the end of the trial is also recorded in
 * the runtime directory until the next boot. `rootHash` returns the root hash in the slot's boot entry, `backend` the boot loader.
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

// The timer's shell script appends a line, and power may fail while it does, so unknown lines are ignored.
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
