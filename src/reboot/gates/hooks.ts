/** One program of `pre-reboot.d`: it makes a host ready to leave, may ask for more time, and takes back what it did. */

import { cleanLine } from '../../clean-text.ts';
import { listenForWords } from '../../system/last-words.ts';
import type { Exec } from '../../system/process/exec.ts';

/** Where they lie. */
export const HOOK_DIRS = ['/usr/lib/tandem/pre-reboot.d', '/etc/tandem/pre-reboot.d'] as const;

/** `do` before the restart, `undo` when it is over or does not take place. */
export type HookVerb = 'do' | 'undo';

export type HookAnswer = Readonly<{ said: 'done' } | { said: 'later' | 'failed'; reason: string }>;

export type HookRun = Readonly<{
  exec: Exec;
  /** Where what it prints is heard while it runs. */
  output: string;
  timeoutMs: number;
  signal: AbortSignal;
}>;

/**
 * Runs it as a service of its own, outside of the agent's sandbox, since it has to reach a cluster or stop containers. Throws only
 * when `signal` says stop. Both verbs may come again for something that was done already.
 */
export async function runHook(run: HookRun, path: string, verb: HookVerb): Promise<HookAnswer> {
  // Without its words it is run all the same.
  await using words = await listenForWords(run.output, MOST_WORDS).catch(() => undefined);
  // One that an agent before us has left running.
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
  // A service that could not even begin has no status.
  const why = status === 0 && !isLong ? lastLine(started.stderr) : how;
  return { said: 'failed', reason: said === '' ? why : `${why}: ${said}` };
}

/** The exit status of a program that is not ready yet, as Mender's state scripts have it. */
const ASK_AGAIN = 21;
const UNIT = 'tandem-pre-reboot.service';
const SLACK_MS = 30_000;
const STOP_MS = 15_000;
const MOST_WORDS = 1000;

/** Of this type, starting it is over when it has ended, and that can be asked for without a message bus. */
const service = ({ output, timeoutMs }: HookRun, isHeard: boolean): string[] => [
  '--quiet',
  `--unit=${UNIT}`,
  '--service-type=oneshot',
  `--property=TimeoutStartSec=${Math.ceil(timeoutMs / 1000)}`,
  // Children that it leaves behind end with it, and cannot make a success look like running out of time.
  '--property=KillMode=mixed',
  // One that does not heed being told to stop is gone before the next one is run.
  `--property=TimeoutStopSec=${STOP_MS / 1000}`,
  // A socket at that path is connected to.
  `--property=StandardOutput=${isHeard ? `file:${output}` : 'null'}`,
  '--property=StandardError=inherit',
  '--description=Tandem: make ready for a restart',
];

const ask = ({ exec, signal }: HookRun, program: string, args: readonly string[], timeoutMs = SLACK_MS) =>
  exec(program, args, { timeoutMs, package: 'systemd', signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    return { exitCode: 1, stdout: '', stderr: String(error), timedOut: false };
  });

const lastLine = (output: string): string => cleanLine(output.trim().split('\n').at(-1) ?? '', 200);
