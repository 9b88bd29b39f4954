/** Who notices a soft reboot that does not lead to a new system: a process that lives through it and then pulls the plug. */

import { attempt, type Exec } from '../../system/process/exec.ts';

/** systemd itself disarms the hardware watchdog when it hands over to the next system, so nothing else would. */
export const GUARD = 'tandem-jump-guard.service';

/** One sentence on the guard. Never fails: without it a soft reboot that hangs is ended by hand, as it is without Tandem. */
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
    return `a guard resets the machine when no agent runs ${NEXT_SYSTEM_S} s after this system has stopped`;
  return `no guard could be started: ${result.stderr.trim().slice(-200)}`;
}

/** The host stays after all. */
export async function stopGuard(exec: Exec): Promise<void> {
  await attempt(exec, 'systemctl', ['stop', GUARD], TOOL);
}

const TOOL = { timeoutMs: 20_000, package: 'systemd' };
/** What a system has between the stop of the one before and its agent. */
const NEXT_SYSTEM_S = 240;
/** systemd itself gives the stop half an hour (soft-reboot.target). */
const MOST_S = 35 * 60;

/** It is neither stopped with the old system nor killed between the two; the next one's own dead man's timer takes its place. */
const PROPERTIES = [
  'Description=Tandem: resets the machine when a soft reboot leads nowhere',
  'DefaultDependencies=no',
  'IgnoreOnIsolate=yes',
  'SurviveFinalKillSignal=yes',
  'Conflicts=tandem-dead-man.timer',
  'Type=exec',
];

/**
 * Nobody is cut off who still says that he is on his way: a database may take its time to stop, and the agent is the first to go. Where
 * the timer of the next system is of an older kind, or the host never left, the agent's own life is what counts. The kernel's clock, so
 * that a tool that is missing between two systems shortens nothing. $1: NEXT_SYSTEM_S, $2: MOST_S, $3: what resets.
 */
export const WAIT_THEN_RESET = [
  'seconds() { IFS=. read -r whole _ </proc/uptime; echo "$whole"; };',
  'begun=$(seconds); heard=$begun;',
  'while now=$(seconds); [ $((now - heard)) -lt "$1" ] && [ $((now - begun)) -lt "$2" ]; do sleep 10;',
  'case $(timeout -k 5 20 systemctl is-system-running) in stopping | starting | initializing) heard=$(seconds) ;; esac;',
  'done;',
  'timeout -k 5 20 systemctl is-active --quiet tandem-agent.service || echo b >"$3"',
].join(' ');
