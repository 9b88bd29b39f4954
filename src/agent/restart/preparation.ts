/** The preparation of a restart without the boot loader, by the unit with the rights: on record, so that a later agent can undo it. */

import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { type ErrorCode, UpdateError } from '../../errors.ts';
import { otherSlot, type SlotName } from '../../model.ts';
import type { Jump } from '../../reboot/methods/choose.ts';
import { type Files, replaceFile } from '../../system/files.ts';
import type { Exec } from '../../system/process/exec.ts';
import type { Host } from '../install/host.ts';

export interface Preparation {
  make(method: Jump, target: SlotName): Promise<void>;
  /** Whether something may be prepared. */
  isMade(): Promise<boolean>;
  /** Undoes the recorded preparation, if there is one. */
  undo(): Promise<void>;
  /** The recorded preparation. */
  free(target: SlotName): Promise<void>;
}

type PreparationWorld = Readonly<{ exec: Exec; files: Files; runtimeDir: string; booted: SlotName }>;

/** The record is written before the preparation and removed after it was undone: a forgotten one could change a plain `systemctl reboot`. */
export function createPreparation(world: PreparationWorld): Preparation {
  const { files, runtimeDir, booted } = world;
  const path = join(runtimeDir, 'prepared');
  const isMade = async (): Promise<boolean> => {
    const slot = await files.read(path);
    // The folder survives a soft reboot, which leads into the recorded slot: then nothing is left to undo.
    return slot !== undefined && new TextDecoder().decode(slot).trim() !== booted;
  };
  const free = async (target: SlotName): Promise<void> => {
    await jumpUnit(world, `free-${target}`, 'slot-held');
    await files.remove(path);
  };
  return {
    make: async (method, target) => {
      await replaceFile(files, path, new TextEncoder().encode(`${target}\n`));
      await jumpUnit(world, `${method}-${target}`, 'method-unsafe');
    },
    isMade,
    undo: async () => {
      if (await isMade()) await free(otherSlot(booted));
    },
    free,
  };
}

/**
 * Before a slot is written: after a soft reboot, the old root's device may still hold it, and a kernel that starts it may be
 * loaded. Only a unit with more rights can remove these.
 */
export async function freeSlot(
  { agent }: Config,
  world: Pick<PreparationWorld, 'exec' | 'files'>,
  host: Pick<Host, 'booted' | 'isMapped'>,
  target: SlotName,
): Promise<void> {
  const preparation = createPreparation({ ...world, runtimeDir: agent.runtimeDir, booted: host.booted });
  if ((await preparation.isMade()) || (await host.isMapped(target))) await preparation.free(target);
}

/** The file in which tandem-jump@.service leaves the reason of a failure. */
export const failurePath = (runtimeDir: string): string => join(runtimeDir, 'jump-failed');

/** Runs tandem-jump@.service, whose instance name is the task; a failure is reported in its own words. */
async function jumpUnit({ exec, files, runtimeDir }: PreparationWorld, what: string, code: ErrorCode): Promise<void> {
  await files.remove(failurePath(runtimeDir));
  const unit = `tandem-jump@${what}.service`;
  const result = await exec('systemctl', ['start', unit], { timeoutMs: 240_000, package: 'systemd' });
  if (result.exitCode === 0) return;
  const said = await files.read(failurePath(runtimeDir)).catch(() => undefined);
  const sentence = said ? new TextDecoder().decode(said.subarray(0, 2000)) : result.stderr.trim().slice(-1000);
  throw new UpdateError(code, `${unit} failed: ${sentence}`);
}
