/** The guard of a soft reboot: a process that survives it, and resets the machine if no new system arrives. */

import { attempt, type Exec } from '../../system/process/exec.ts';

/** systemd disarms the hardware watchdog when it hands over to the next system, so nothing else would notice a hang. */
export const GUARD = 'tandem-jump-guard.service';

/** Starts the guard; returns a sentence on it. Never throws: without a guard, somebody must end a hanging soft reboot by hand. */
export async function startGuard(exec: Exec): Promise<string> {
  await stopGuard(exec);
  const properties = PROPERTIES.flatMap((one) => ['--property', one]);
  const options = ['--quiet', '--collect', '--expand-environment=no', `--unit=${GUARD}`, ...properties];
  const arguments_ = [String(NEXT_SYSTEM_S), String(MOST_S), '/proc/sysrq-trigger'];
  const result = await attempt(
    exec,
    'systemd-run',
    [...options, '/bin/sh', '-c', WAIT_THEN_RESET, GUARD, ...arguments_],
    TOOL,
  );
  if (result.exitCode === 0)
    return `a guard resets the machine if no agent runs ${NEXT_SYSTEM_S} s after this system has stopped`;
  return `the guard could not be started: ${result.stderr.trim().slice(-200)}`;
}

/** Stops the guard when the host stays. */
export async function stopGuard(exec: Exec): Promise<void> {
  await attempt(exec, 'systemctl', ['stop', GUARD], TOOL);
}

const TOOL = { timeoutMs: 20_000, package: 'systemd' };
/** The time limit between the stop of the old system and the agent of the new one. */
const NEXT_SYSTEM_S = 240;
/** systemd allows the stop half an hour (soft-reboot.target). */
const MOST_S = 35 * 60;

/** Neither stopped with the old system nor killed in between; the new system's own dead man's timer replaces it. */
const PROPERTIES = [
  'Description=Tandem: resets the machine when a soft reboot leads nowhere',
  'DefaultDependencies=no',
  'IgnoreOnIsolate=yes',
  'SurviveFinalKillSignal=yes',
  'Conflicts=tandem-dead-man.timer',
  'Type=exec',
];

/**
 * Does not reset while systemd reports progress: a database may take long to stop, and the agent is the first to go. If the next system's
 * timer is of an older kind, or the host never left, a running agent is what counts. Uses the kernel's clock, so that a tool missing
 * between the systems shortens nothing. $1: NEXT_SYSTEM_S, $2: MOST_S, $3: the reset trigger.
 */
export const WAIT_THEN_RESET = [
  'seconds() { IFS=. read -r whole _ </proc/uptime; echo "$whole"; };',
  'begun=$(seconds); heard=$begun;',
  'while now=$(seconds); [ $((now - heard)) -lt "$1" ] && [ $((now - begun)) -lt "$2" ]; do sleep 10;',
  'case $(timeout -k 5 20 systemctl is-system-running) in stopping | starting | initializing) heard=$(seconds) ;; esac;',
  'done;',
  'timeout -k 5 20 systemctl is-active --quiet tandem-agent.service || echo b >"$3"',
].join(' ');
