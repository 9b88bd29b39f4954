/** Runs other programs: the only importer of execa. */

import { execa } from 'execa';
import { UpdateError } from '../errors.ts';

export type ExecOptions = Readonly<{
  signal?: AbortSignal;
  timeoutMs?: number;
  input?: Uint8Array;
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  /** The Debian package that brings the program, for the message when it is missing. */
  package?: string;
}>;

export type ExecResult = Readonly<{
  exitCode: number;
  stdout: string;
  stderr: string;
  timedOut: boolean;
  signal?: string;
}>;

/** Runs a program from PATH, never through a shell. */
export type Exec = (program: string, args: readonly string[], options?: ExecOptions) => Promise<ExecResult>;

/** A result whatever the exit status; throws `tool-missing` only. */
export const realExec: Exec = async (program, args, options = {}) => {
  const result = await execa(program, args, {
    reject: false,
    maxBuffer: OUTPUT_LIMIT,
    killSignal: 'SIGTERM',
    forceKillAfterDelay: 2_000,
    ...(options.signal ? { cancelSignal: options.signal } : {}),
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
    ...(options.input ? { input: options.input } : { stdin: 'ignore' as const }),
    ...(options.env ? { env: options.env } : {}),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  if (errorCode(result.cause) === 'ENOENT') throw missing(program, options.package);
  if (result.isCanceled) throw options.signal?.reason ?? new UpdateError('interrupted');
  return {
    exitCode: result.exitCode ?? 128,
    stdout: text(result.stdout),
    stderr: text(result.stderr),
    timedOut: result.timedOut,
    ...(result.signal === undefined ? {} : { signal: result.signal }),
  };
};

/** As `exec`; a program that is missing has failed as well, with its absence as what it says. */
export const attempt = (exec: Exec, ...call: Parameters<Exec>): Promise<ExecResult> =>
  exec(...call).catch((error: unknown) => {
    if (!(error instanceof UpdateError && error.code === 'tool-missing')) throw error;
    return { exitCode: NOT_FOUND, stdout: '', stderr: error.message, timedOut: false };
  });

/** What a shell says of it. */
const NOT_FOUND = 127;

/** Runs a program that must succeed; returns its standard output. */
export async function run(
  exec: Exec,
  program: string,
  args: readonly string[],
  options: ExecOptions = {},
): Promise<string> {
  const result = await exec(program, args, options);
  if (result.exitCode === 0) return result.stdout;
  const why = result.timedOut ? 'ran out of time' : `ended with status ${result.exitCode}`;
  throw new UpdateError('tool-failed', `${program} ${why}: ${tail(result.stderr || result.stdout)}`);
}

const OUTPUT_LIMIT = 16 * 1024 * 1024;

const errorCode = (cause: unknown): unknown => (cause instanceof Error && 'code' in cause ? cause.code : undefined);

const text = (output: unknown): string => (typeof output === 'string' ? output : '');

const tail = (output: string): string => output.trim().slice(-1024);

function missing(program: string, pkg: string | undefined): UpdateError {
  const hint = pkg === undefined ? '' : ` (Debian package ${pkg})`;
  return new UpdateError('tool-missing', `${program} is not installed${hint}.`);
}
