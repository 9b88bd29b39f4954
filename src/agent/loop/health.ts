/** The health of this host, as configured: one look for a gate, and the patient proof of a system on trial. */

import type { Config } from '../../config/config.ts';
import { asUpdateError } from '../../errors.ts';
import type { SlotName, Verdict } from '../../model.ts';
import { askAgain } from '../../reboot/health/ask-again.ts';
import { untilDeadMan } from '../../reboot/health/dead-man-timer.ts';
import { programProbes } from '../../reboot/health/programs.ts';
import { type Health, runProbes } from '../../reboot/health/run-probes.ts';
import { failedUnits, unitsProbe } from '../../reboot/health/units.ts';
import { type Clock, kernelUptimeMs } from '../../system/clock.ts';
import type { Files } from '../../system/files.ts';
import type { Log } from '../../system/log.ts';
import type { Exec } from '../../system/process/exec.ts';
import { readFailedBefore, recordFailed } from './failed-before.ts';

export type HealthWorld = Readonly<{
  exec: Exec;
  files: Pick<Files, 'read' | 'list'>;
  clock: Clock;
  log: Log;
  /** The kernel's clock. */
  uptimeMs?(): number;
}>;

/** The system's health now. */
export async function lookAtHealth(config: Config, world: HealthWorld, signal: AbortSignal): Promise<Verdict> {
  return verdictOf(
    await look(config, world, signal, { which: 'all', mostMs: Number.POSITIVE_INFINITY, before: [] }),
    world,
  );
}

/** Before a release is armed: units that have failed by now are not its fault. If systemd does not report them, all failures count. */
export async function noteFailed(
  config: Config,
  { exec, files, clock, log }: HealthWorld & Readonly<{ files: Files }>,
  slot: SlotName,
  signal: AbortSignal,
): Promise<void> {
  const units = await failedUnits({ exec, ignored: config.health.ignoredUnits }, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    log.warn({ err: asUpdateError(error).message }, 'the failed units cannot be determined');
    return [];
  });
  await recordFailed(files, config.agent.stateDir, { at: clock.now().toISOString(), slot, units });
}

/** Repeats failed probes for as long as the configuration and the dead man's timer allow. */
export async function proveHealth(
  config: Config,
  world: HealthWorld,
  booted: SlotName,
  signal: AbortSignal,
): Promise<Verdict> {
  const { exec, files, clock, log, uptimeMs = kernelUptimeMs } = world;
  const before = (await readFailedBefore(files, config.agent.stateDir, booted))?.units ?? [];
  if (before.length > 0)
    log.info({ units: before }, 'units that had failed in the previous system do not count against this one');
  const timer = await untilDeadMan(exec, uptimeMs(), signal);
  const patience = { clock, retryMs: config.health.retrySeconds * 1000, signal };
  const health = await askAgain(
    async (isFirst, mostMs) => {
      const found = await look(config, world, signal, { which: isFirst ? 'all' : 'required', mostMs, before });
      if (isFirst && !found.ok) log.warn({ failures: found.failures }, 'not healthy yet; probing again');
      return found;
    },
    { ...patience, mostMs: timer === undefined ? undefined : timer - LEAVING_MS },
  );
  return verdictOf(health, world);
}

/** The time between the verdict and the dead man: to make the other slot the default, and to stop services. */
export const LEAVING_MS = 20_000;

async function look(
  { health }: Config,
  { exec, clock, files }: HealthWorld,
  signal: AbortSignal,
  { which, mostMs, before }: Readonly<{ which: 'all' | 'required'; mostMs: number; before: readonly string[] }>,
): Promise<Health> {
  const startTimeoutMs = Math.min(health.startTimeoutSeconds * 1000, mostMs * STARTING);
  const timeoutMs = Math.min(health.timeoutSeconds * 1000, mostMs);
  const { requiredUnits: required, ignoredUnits: ignored, directories: dirs } = health;
  const units = unitsProbe({ exec, files, clock, required, ignored, before, startTimeoutMs });
  const programs = await programProbes({ exec, files, dirs, timeoutMs });
  const asked = [units, ...programs].filter((probe) => which === 'all' || probe.required);
  return runProbes(asked, { clock, timeoutMs: Math.min(startTimeoutMs + timeoutMs, mostMs), signal });
}

/** The share of a look's time after which units that are still starting are reported. */
const STARTING = 0.8;

function verdictOf({ ok, failures, warnings }: Health, { log }: HealthWorld): Verdict {
  for (const warning of warnings) log.warn({ warning }, 'a wanted probe failed');
  return ok ? { ok: true } : { ok: false, reason: failures.join('; ') };
}
