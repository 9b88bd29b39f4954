/** The ways into an armed slot, put together: what is safe now, what is prepared by the unit that may, and the jump. */

import { join } from 'node:path';
import type { Config } from '../config.ts';
import { asUpdateError, UpdateError } from '../errors.ts';
import type { Method, SlotName } from '../model.ts';
import type { Kernels } from '../reboot/bootloaders/kernels.ts';
import { type Choice, chooseMethod, insteadOf, type Jump, type Known } from '../reboot/methods/choose.ts';
import { readHostFacts, runningKernel } from '../reboot/methods/host-facts.ts';
import { type Kernel, kernelParts, readKernel } from '../reboot/methods/kernel.ts';
import { rebootByKexec } from '../reboot/methods/kexec.ts';
import { rebootBySoft } from '../reboot/methods/soft.ts';
import { type Clock, kernelUptimeMs } from '../system/clock.ts';
import type { Exec } from '../system/exec.ts';
import type { Files } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import type { Host } from './host.ts';
import type { Restart } from './parts.ts';

export type RestartWorld = Readonly<{
  /** What the configuration says. */
  wanted: Method | 'auto';
  mostKexecs: number;
  firmwareFlags: readonly string[];
  esp: string;
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

/** What the agent's unit may not do is done by tandem-jump@.service, which is told what by its name. */
export function createRestart(world: RestartWorld): Restart {
  const { exec, clock, log } = world;
  const failed: Partial<Record<Jump, string>> = {};
  const kernelIn = kernelReader(world.kernels);
  let prepared: string | undefined;
  const undo = async (): Promise<void> => {
    if (prepared === undefined) return;
    await jumpUnit(world, prepared);
    prepared = undefined;
  };
  return {
    choose: (target, tried) => choose(world, target, tried, failed, kernelIn),
    prepare: async (choice, target) => {
      const { method } = choice;
      if (method === 'firmware') return choice;
      prepared = `free-${target}`;
      try {
        await jumpUnit(world, `${method}-${target}`);
        return choice;
      } catch (error) {
        const why = asUpdateError(error).message;
        failed[method] = why;
        log.warn({ method, err: why }, 'this restart goes through the firmware instead');
        await undo().catch((cause: unknown) => log.warn({ err: String(cause) }, 'not everything could be taken back'));
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

/** As the configuration of this host says. */
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
    runtimeDir: agent.runtimeDir,
    uptimeMs: kernelUptimeMs,
  });

/** Where nothing but a full restart is known. */
export const onlyFirmware = (bootId: string, { now }: Pick<Clock, 'now'>): Restart => ({
  choose: async () => ({ method: 'firmware', reason: 'there is no other way here', ruledOut: [] }),
  prepare: async (choice) => choice,
  departure: ({ method, reason }) => ({ method, reason, at: now().toISOString(), uptimeMs: 0, bootId }),
  jump: async () => {},
  undo: async () => {},
});

/** Where tandem-jump@.service leaves the sentence that says why it failed. */
export const failurePath = (runtimeDir: string): string => join(runtimeDir, 'jump-failed');

/** After a soft reboot the device of the old root may still lie over its slot; only a unit with more rights can close it. */
export async function freeSlot({ agent }: Config, world: JumpWorld, host: Host, target: SlotName): Promise<void> {
  if (await host.isMapped(target)) await jumpUnit({ ...world, runtimeDir: agent.runtimeDir }, `free-${target}`);
}

type JumpWorld = Pick<RestartWorld, 'exec' | 'files'>;

/** Lets tandem-jump@.service work; its failure is told in its own words. */
async function jumpUnit(
  { exec, files, runtimeDir }: JumpWorld & Pick<RestartWorld, 'runtimeDir'>,
  what: string,
): Promise<void> {
  await files.remove(failurePath(runtimeDir));
  const unit = `tandem-jump@${what}.service`;
  const result = await exec('systemctl', ['start', unit], { timeoutMs: 240_000, package: 'systemd' });
  if (result.exitCode === 0) return;
  const said = await files.read(failurePath(runtimeDir)).catch(() => undefined);
  const sentence = said ? new TextDecoder().decode(said.subarray(0, 2000)) : result.stderr.trim().slice(-1000);
  throw new UpdateError('method-unsafe', `${unit} failed: ${sentence}`);
}

async function choose(
  world: RestartWorld,
  target: SlotName,
  tried: readonly Method[],
  failed: Readonly<Partial<Record<Jump, string>>>,
  kernelIn: KernelReader,
): Promise<Choice> {
  const { wanted, mostKexecs, booted, firmwareFlags, esp } = world;
  const unknown: Known<Kernel> = { unknown: 'nobody asked' };
  const known = { wanted, tried, failed, mostKexecs, kexecs: 0, barred: {}, running: unknown, target: unknown };
  if (wanted === 'firmware') return chooseMethod(known);
  try {
    const host = await readHostFacts(world, firmwareFlags, esp);
    const here = await kernelIn(booted);
    const running = 'unknown' in here ? here : runningKernel(here, host);
    return chooseMethod({ ...known, ...host, running, target: await kernelIn(target) });
  } catch (error) {
    return { method: 'firmware', reason: asUpdateError(error).message, ruledOut: [] };
  }
}

type KernelReader = (slot: SlotName) => Promise<Known<Kernel>>;

/** Reads a boot image whole only once: small machines take seconds for the digests. The root hash makes each a different one. */
function kernelReader(kernels: Pick<Kernels, 'open'>): KernelReader {
  const known = new Map<SlotName, Readonly<{ key: string; kernel: Kernel }>>();
  return async (slot) => {
    try {
      const uki = await kernels.open(slot);
      if (!uki) return { unknown: `slot ${slot} has no boot image that could be looked into` };
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
