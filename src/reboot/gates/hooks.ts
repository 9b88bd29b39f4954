/** One program of `pre-reboot.d`: it makes a host ready to leave, may ask for more time, and takes back what it did. */

import type { Exec } from '../../system/exec.ts';

/** Where they lie. */
export const HOOK_DIRS = ['/usr/lib/tandem/pre-reboot.d', '/etc/tandem/pre-reboot.d'] as const;

/** `do` before the restart, `undo` when it is over or does not take place. */
export type HookVerb = 'do' | 'undo';

export type HookAnswer = Readonly<{ said: 'done' } | { said: 'later' | 'failed'; reason: string }>;

export type HookRun = Readonly<{ exec: Exec; timeoutMs: number; signal: AbortSignal }>;

/**
 * Runs it as a service of its own, outside of the agent's sandbox, since it has to reach a cluster or stop containers. Throws only
 * when `signal` says stop. Both verbs may come again for something that was done already.
 */
export async function runHook({ exec, timeoutMs, signal }: HookRun, path: string, verb: HookVerb): Promise<HookAnswer> {
  const seconds = Math.ceil(timeoutMs / 1000);
  const service = ['--quiet', '--wait', '--pipe', '--collect', `--property=RuntimeMaxSec=${seconds}`];
  const described = [`--description=Tandem: ${path} ${verb}`, path, verb];
  // systemd ends it; we wait a little longer for its word.
  const limits = { timeoutMs: timeoutMs + SLACK_MS, package: 'systemd', signal };
  const result = await exec('systemd-run', [...service, ...described], limits).catch((error: unknown) => {
    signal.throwIfAborted();
    return { exitCode: 1, stdout: '', stderr: String(error), timedOut: false };
  });
  if (result.exitCode === 0 && !result.timedOut) return { said: 'done' };
  const words = lastLine(`${result.stdout}\n${result.stderr}`);
  if (result.exitCode === ASK_AGAIN) return { said: 'later', reason: words || 'it asks for more time' };
  const how = result.timedOut ? `was still running after ${seconds} s` : `ended with status ${result.exitCode}`;
  return { said: 'failed', reason: words === '' ? how : `${how}: ${words}` };
}

/** The exit status of a program that is not ready yet, as Mender's state scripts have it. */
const ASK_AGAIN = 21;
const SLACK_MS = 30_000;

const lastLine = (output: string): string =>
  (output.trim().split('\n').at(-1) ?? '').replace(/\p{Cc}+/gu, ' ').slice(0, 200);
