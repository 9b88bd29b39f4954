/** The ways into an armed slot: the choice of a safe method, its preparation by the unit with the rights, and the jump. */

import type { Config } from '../../config/config.ts';
import { asUpdateError } from '../../errors.ts';
import type { Method, SlotName } from '../../model.ts';
import { ARMS_BY_BOOT_NEXT } from '../../reboot/bootloaders/bootloader.ts';
import type { Kernels } from '../../reboot/kernels/kernels.ts';
import { type Choice, chooseMethod, insteadOf, type Jump, type Known } from '../../reboot/methods/choose.ts';
import { readHostFacts, runningKernel } from '../../reboot/methods/host-facts.ts';
import { type Kernel, kernelParts, readKernel } from '../../reboot/methods/kernel.ts';
import { rebootByKexec } from '../../reboot/methods/kexec.ts';
import { rebootBySoft } from '../../reboot/methods/soft.ts';
import { type Clock, kernelUptimeMs } from '../../system/clock.ts';
import type { Files } from '../../system/files.ts';
import type { Log } from '../../system/log.ts';
import type { Exec } from '../../system/process/exec.ts';
import type { Loop } from '../loop/loop.ts';
import type { Restart } from '../loop/parts.ts';
import { createPreparation } from './preparation.ts';

export type RestartWorld = Readonly<{
  /** The configured method. */
  wanted: Method | 'auto';
  mostKexecs: number;
  firmwareFlags: readonly string[];
  esp: string;
  /** The backend arms a slot through the firmware's `BootNext`. */
  isBootNextOurs: boolean;
  runtimeDir: string;
  kernels: Pick<Kernels, 'open'>;
  booted: SlotName;
  bootId: string;
  exec: Exec;
  files: Files;
  clock: Clock;
  /** The kernel's clock. */
  uptimeMs(): number;
  log: Log;
}>;

/** tandem-jump@.service does what the agent's unit may not. */
export function createRestart(world: RestartWorld): Restart {
  const { exec, clock, log } = world;
  const failed: Partial<Record<Jump, string>> = {};
  const kernelIn = kernelReader(world.kernels);
  const preparation = createPreparation(world);
  const undo = (): Promise<void> =>
    preparation.undo().catch((cause: unknown) => {
      log.warn({ err: String(cause) }, 'the prepared restart could not be undone completely');
      throw cause;
    });
  const tryToUndo = (): Promise<void> => undo().catch(() => undefined);
  return {
    choose: (target, tried) => choose(world, target, tried, failed, kernelIn),
    prepare: async (choice, target) => {
      // An earlier agent may have been killed before its jump.
      await tryToUndo();
      const { method } = choice;
      if (method === 'firmware') return choice;
      try {
        await preparation.make(method, target);
        return choice;
      } catch (error) {
        const why = asUpdateError(error).message;
        failed[method] = why;
        log.warn({ method, err: why }, 'this restart goes through the firmware instead');
        await tryToUndo();
        return insteadOf({ ...choice, method }, why);
      }
    },
    departure: ({ method, reason }) => {
      const uptimeMs = Math.floor(world.uptimeMs());
      return { method, reason, at: clock.now().toISOString(), uptimeMs, bootId: world.bootId };
    },
    jump: (method) => (method === 'soft' ? rebootBySoft(exec) : rebootByKexec(exec)),
    undo,
  };
}

/** Undoes the unused preparation of an earlier agent. While a slot is armed, the next step undoes or uses it. */
export async function undoLeftOver({ state, parts }: Pick<Loop, 'state' | 'parts'>): Promise<void> {
  // A failed undo has been logged, stays on record, and is repeated later.
  if (state().kind !== 'armed') await parts.restart.undo().catch(() => undefined);
}

/** As configured on this host. */
export const configuredRestart = (
  { reboot, boot, agent }: Config,
  world: Pick<RestartWorld, 'exec' | 'files' | 'clock' | 'log'>,
  host: Pick<RestartWorld, 'kernels' | 'booted' | 'bootId'>,
): Restart =>
  createRestart({
    ...world,
    ...host,
    wanted: reboot.method,
    mostKexecs: reboot.kexecMostInARow,
    firmwareFlags: reboot.firmwareFlags,
    esp: boot.esp,
    isBootNextOurs: ARMS_BY_BOOT_NEXT[boot.backend],
    runtimeDir: agent.runtimeDir,
    uptimeMs: kernelUptimeMs,
  });

/** Knows only a full restart. */
export const onlyFirmware = (bootId: string, { now }: Pick<Clock, 'now'>): Restart => ({
  choose: async () => ({ method: 'firmware', reason: 'no other method is available here', ruledOut: [] }),
  prepare: async (choice) => choice,
  departure: ({ method, reason }) => ({ method, reason, at: now().toISOString(), uptimeMs: 0, bootId }),
  jump: async () => {},
  undo: async () => {},
});

async function choose(
  world: RestartWorld,
  target: SlotName,
  tried: readonly Method[],
  failed: Readonly<Partial<Record<Jump, string>>>,
  kernelIn: KernelReader,
): Promise<Choice> {
  const { wanted, mostKexecs, booted, firmwareFlags, esp, isBootNextOurs } = world;
  const unknown: Known<Kernel> = { unknown: 'it was not checked' };
  const known = { wanted, tried, failed, mostKexecs, kexecs: 0, barred: {}, running: unknown, target: unknown };
  if (wanted === 'firmware') return chooseMethod(known);
  try {
    const host = await readHostFacts(world, firmwareFlags, esp, isBootNextOurs);
    const here = await kernelIn(booted);
    const running = 'unknown' in here ? here : runningKernel(here, host);
    return chooseMethod({ ...known, ...host, running, target: await kernelIn(target) });
  } catch (error) {
    return { method: 'firmware', reason: asUpdateError(error).message, ruledOut: [] };
  }
}

type KernelReader = (slot: SlotName) => Promise<Known<Kernel>>;

/** Reads a boot image in full only once: small machines take seconds for the digests. The root hash identifies it. */
function kernelReader(kernels: Pick<Kernels, 'open'>): KernelReader {
  const known = new Map<SlotName, Readonly<{ key: string; kernel: Kernel }>>();
  return async (slot) => {
    try {
      const uki = await kernels.open(slot);
      if (!uki) return { unknown: `slot ${slot} has no boot image to examine` };
      const key = `${uki.size} ${(await kernelParts(uki)).commandLine}`;
      const before = known.get(slot);
      if (before?.key === key) return before.kernel;
      const kernel = await readKernel(uki);
      known.set(slot, { key, kernel });
      return kernel;
    } catch (error) {
      return { unknown: `the boot image of slot ${slot} cannot be read: ${asUpdateError(error).message}` };
    }
  };
}
