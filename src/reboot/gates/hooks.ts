/** One hook of `pre-reboot.d`: prepares the host for the reboot, may ask for more time, and undoes its preparation. */

import { cleanLine } from '../../clean-text.ts';
import { listenForWords } from '../../system/last-words.ts';
import type { Exec } from '../../system/process/exec.ts';

export const HOOK_DIRS = ['/usr/lib/tandem/pre-reboot.d', '/etc/tandem/pre-reboot.d'] as const;

/** `do` before the restart, `undo` when it is over or cancelled. */
export type HookVerb = 'do' | 'undo';

export type HookAnswer = Readonly<{ said: 'done' } | { said: 'later' | 'failed'; reason: string }>;

export type HookRun = Readonly<{
  exec: Exec;
  /** The directory for captured output. */
  output: string;
  timeoutMs: number;
  signal: AbortSignal;
}>;

/**
 * Runs the hook as its own service, outside the agent's sandbox, because it may have to reach a cluster or stop containers. Throws only if
 * `signal` aborts. Hooks must be idempotent.
 */
export async function runHook(run: HookRun, path: string, verb: HookVerb): Promise<HookAnswer> {
  // Capturing output is optional; the hook runs anyway.
  await using words = await listenForWords(run.output, MOST_WORDS).catch(() => undefined);
  // A hook left running by an earlier agent.
  await ask(run, 'systemctl', ['stop', UNIT]);
  await ask(run, 'systemctl', ['reset-failed', UNIT]);
  const started = await ask(
    run,
    'systemd-run',
    [...service(run, words !== undefined), path, verb],
    run.timeoutMs + SLACK_MS,
  );
  if (started.exitCode === 0 && !started.timedOut) return { said: 'done' };
  const { stdout: shown } = await ask(run, 'systemctl', ['show', UNIT, '--property=Result,ExecMainStatus']);
  await ask(run, 'systemctl', ['reset-failed', UNIT]);
  const status = Number(/^ExecMainStatus=(\d+)$/m.exec(shown)?.[1] ?? 0);
  const said = lastLine((await words?.heard()) ?? '');
  if (status === ASK_AGAIN) return { said: 'later', reason: said || 'it asks for more time' };
  const isLong = started.timedOut || /^Result=timeout$/m.test(shown);
  const how = isLong ? `was still running after ${Math.ceil(run.timeoutMs / 1000)} s` : `ended with status ${status}`;
  // A service that failed to start has no exit status.
  const why = status === 0 && !isLong ? lastLine(started.stderr) : how;
  return { said: 'failed', reason: said === '' ? why : `${why}: ${said}` };
}

/** The exit status for “not ready yet”, as in Mender's state scripts. */
const ASK_AGAIN = 21;
const UNIT = 'tandem-pre-reboot.service';
const SLACK_MS = 30_000;
const STOP_MS = 15_000;
const MOST_WORDS = 1000;

/** With this type, starting the unit waits for its end, and no message bus is needed. */
const service = ({ output, timeoutMs }: HookRun, isHeard: boolean): string[] => [
  '--quiet',
  `--unit=${UNIT}`,
  '--service-type=oneshot',
  `--property=TimeoutStartSec=${Math.ceil(timeoutMs / 1000)}`,
  // Kills leftover child processes too, so that they cannot turn a success into a timeout.
  '--property=KillMode=mixed',
  // Kills a hook that ignores SIGTERM before the next one runs.
  `--property=TimeoutStopSec=${STOP_MS / 1000}`,
  // systemd would connect to a socket at that path.
  `--property=StandardOutput=${isHeard ? `file:${output}` : 'null'}`,
  '--property=StandardError=inherit',
  '--description=Tandem: prepare for a restart',
];

const ask = ({ exec, signal }: HookRun, program: string, args: readonly string[], timeoutMs = SLACK_MS) =>
  exec(program, args, { timeoutMs, package: 'systemd', signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    return { exitCode: 1, stdout: '', stderr: String(error), timedOut: false };
  });

const lastLine = (output: string): string => cleanLine(output.trim().split('\n').at(-1) ?? '', 200);
