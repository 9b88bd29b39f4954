/** Who notices a soft reboot that does not lead to a new system: a process that lives through it and then pulls the plug. */

import type { Exec } from '../../system/exec.ts';

/** systemd itself disarms the hardware watchdog when it hands over to the next system, so nothing else would. */
export const GUARD = 'tandem-jump-guard.service';

/** One sentence on the guard. Never fails: without it a soft reboot that hangs is ended by hand, as it is without Tandem. */
export async function startGuard(exec: Exec): Promise<string> {
  await stopGuard(exec);
  const properties = PROPERTIES.flatMap((one) => ['--property', one]);
  const command = ['/bin/sh', '-c', WAIT_THEN_RESET];
  const result = await exec(
    'systemd-run',
    ['--quiet', '--collect', `--unit=${GUARD}`, ...properties, ...command],
    TOOL,
  );
  if (result.exitCode === 0) return `a guard resets the machine when nothing runs in ${GUARD_S} s`;
  return `no guard could be started: ${result.stderr.trim().slice(-200)}`;
}

/** The host stays after all. */
export async function stopGuard(exec: Exec): Promise<void> {
  await exec('systemctl', ['stop', GUARD], TOOL);
}

const TOOL = { timeoutMs: 20_000, package: 'systemd' };
const GUARD_S = 240;

/** It is neither stopped with the old system nor killed between the two; the next one's own dead man's timer takes its place. */
const PROPERTIES = [
  'Description=Tandem: resets the machine when a soft reboot leads nowhere',
  'DefaultDependencies=no',
  'IgnoreOnIsolate=yes',
  'SurviveFinalKillSignal=yes',
  'Conflicts=tandem-dead-man.timer',
  'Type=exec',
];

/** Where that timer is of an older kind, or the host never left, the agent's own life is what counts. */
const WAIT_THEN_RESET = `sleep ${GUARD_S}; timeout -k 5 20 systemctl is-active --quiet tandem-agent.service || echo b >/proc/sysrq-trigger`;
