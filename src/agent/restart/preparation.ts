/** What is made ready for a restart past the boot loader, by the unit that may: on record, so that whoever comes after us can undo it. */

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
  /** Whether something may be ready. */
  isMade(): Promise<boolean>;
  /** Takes back what is on record; does nothing when nothing is. */
  undo(): Promise<void>;
  /** Whatever is on record. */
  free(target: SlotName): Promise<void>;
}

type PreparationWorld = Readonly<{ exec: Exec; files: Files; runtimeDir: string; booted: SlotName }>;

/** The record is written before the deed and removed after it was undone: a plain `systemctl reboot` could jump by what we forgot. */
export function createPreparation(world: PreparationWorld): Preparation {
  const { files, runtimeDir, booted } = world;
  const path = join(runtimeDir, 'prepared');
  const isMade = async (): Promise<boolean> => {
    const slot = await files.read(path);
    // The folder lives through a soft reboot, which leads into the slot on record: nothing is left to undo then.
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
 * Before a slot is written: after a soft reboot the device of the old root may still lie over it, and a kernel that starts it may be
 * loaded. Only a unit with more rights can take these away.
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

/** Where tandem-jump@.service leaves the sentence that says why it failed. */
export const failurePath = (runtimeDir: string): string => join(runtimeDir, 'jump-failed');

/** Lets tandem-jump@.service work, which is told what by its name; its failure is told in its own words. */
async function jumpUnit({ exec, files, runtimeDir }: PreparationWorld, what: string, code: ErrorCode): Promise<void> {
  await files.remove(failurePath(runtimeDir));
  const unit = `tandem-jump@${what}.service`;
  const result = await exec('systemctl', ['start', unit], { timeoutMs: 240_000, package: 'systemd' });
  if (result.exitCode === 0) return;
  const said = await files.read(failurePath(runtimeDir)).catch(() => undefined);
  const sentence = said ? new TextDecoder().decode(said.subarray(0, 2000)) : result.stderr.trim().slice(-1000);
  throw new UpdateError(code, `${unit} failed: ${sentence}`);
}
