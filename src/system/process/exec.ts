/** Runs other programs: the only importer of execa. */

import type { Readable } from 'node:stream';
import { execa } from 'execa';
import { UpdateError } from '../../errors.ts';

export type ExecOptions = Readonly<{
  signal?: AbortSignal;
  timeoutMs?: number;
  input?: Uint8Array;
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  /** The Debian package of the program, for the message if it is missing. */
  package?: string;
  /** Runs the program in its own process group, so that stopping it stops its children too. */
  isGroup?: boolean;
}>;

export type ExecResult = Readonly<{
  exitCode: number;
  /** At most the last 16 MiB of each. */
  stdout: string;
  stderr: string;
  timedOut: boolean;
  signal?: string;
  /** The output was longer than that. */
  isCut?: boolean;
}>;

/** Runs a program from PATH, never through a shell. */
export type Exec = (program: string, args: readonly string[], options?: ExecOptions) => Promise<ExecResult>;

/**
 * Returns a result for any exit status; throws only `tool-missing`. The program has ended when its process has; children that hold its
 * output open are not waited for.
 */
export const realExec: Exec = async (program, args, options = {}) => {
  const deadline = new AbortController();
  const running = start(program, args, options, deadline.signal);
  const [stdout, stderr] = [gather(running.stdout), gather(running.stderr)];
  using watch = watchOver(running.nodeChildProcess, options.timeoutMs, deadline);
  const result = await Promise.race([running, watch.stuck]);
  const timedOut = deadline.signal.aborted;
  const code = running.pid === undefined ? errorCode(result.cause) : undefined;
  if (code === 'ENOENT') throw missing(program, options.package);
  if (code !== undefined) return { exitCode: NOT_RUN, stdout: '', stderr: `it cannot be run (${code})`, timedOut };
  if (result.isCanceled && !timedOut) throw options.signal?.reason ?? new UpdateError('interrupted');
  return {
    exitCode: result.exitCode ?? 128,
    stdout: stdout.text(),
    stderr: stderr.text(),
    timedOut,
    ...(result.signal === undefined ? {} : { signal: result.signal }),
    ...(stdout.isCut() || stderr.isCut() ? { isCut: true } : {}),
  };
};

/** Like `exec`, but a missing program is a failed result with a message. */
export const attempt = (exec: Exec, ...call: Parameters<Exec>): Promise<ExecResult> =>
  exec(...call).catch((error: unknown) => {
    if (!(error instanceof UpdateError && error.code === 'tool-missing')) throw error;
    return { exitCode: NOT_FOUND, stdout: '', stderr: error.message, timedOut: false };
  });

// A shell's message.
const NOT_RUN = 126;
const NOT_FOUND = 127;

/** Runs a program that must succeed; returns its whole standard output. */
export async function run(
  exec: Exec,
  program: string,
  args: readonly string[],
  options: ExecOptions = {},
): Promise<string> {
  const result = await exec(program, args, options);
  if (result.exitCode === 0 && !result.timedOut && !result.isCut) return result.stdout;
  throw new UpdateError('tool-failed', `${program} ${faultOf(result)}: ${tail(result.stderr || result.stdout)}`);
}

function faultOf({ exitCode, timedOut }: ExecResult): string {
  if (timedOut) return 'ran out of time';
  return exitCode === 0 ? `wrote more than ${OUTPUT_LIMIT / 1024 / 1024} MiB` : `ended with status ${exitCode}`;
}

const OUTPUT_LIMIT = 16 * 1024 * 1024;
/** Between SIGTERM and SIGKILL. */
const KILL_MS = 2_000;
/** Time for reading the remaining output after the program has ended. */
const LINGER_MS = 200;

const start = (program: string, args: readonly string[], options: ExecOptions, deadline: AbortSignal) =>
  execa(program, args, {
    reject: false,
    buffer: false,
    killSignal: 'SIGTERM',
    forceKillAfterDelay: KILL_MS,
    killDescendants: options.isGroup === true,
    cancelSignal: options.signal ? AbortSignal.any([options.signal, deadline]) : deadline,
    ...(options.input ? { input: options.input } : { stdin: 'ignore' as const }),
    ...(options.env ? { env: options.env } : {}),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });

type Child = ReturnType<typeof start>['nodeChildProcess'];
type Ending = Readonly<{ exitCode?: number; signal?: string; cause?: unknown; isCanceled: boolean }>;

/** Aborts `deadline` unless the program ends in time, and closes its remaining output soon after it has ended. */
function watchOver(
  child: Child,
  timeoutMs: number | undefined,
  deadline: AbortController,
): Disposable & Readonly<{ stuck: Promise<Ending> }> {
  const stuck = Promise.withResolvers<Ending>();
  const timers: NodeJS.Timeout[] = [];
  const stop = (): void => timers.forEach(clearTimeout);
  const close = (): void => [child.stdout, child.stderr].forEach((stream) => void stream?.destroy());
  const expire = (): void => {
    deadline.abort();
    timers.push(setTimeout(giveUp, KILL_MS + LINGER_MS * 5));
  };
  /** A program blocked on a broken device or mount cannot be killed; it is left alone. */
  const giveUp = (): void => {
    child.unref();
    close();
    stuck.resolve({ isCanceled: true });
  };
  if (timeoutMs !== undefined) timers.push(setTimeout(expire, timeoutMs));
  child.once('exit', () => {
    stop();
    // Buffered pipe data is read between a timer and the next immediate, even if the timer is late.
    timers.push(setTimeout(() => setImmediate(close), LINGER_MS));
  });
  return { stuck: stuck.promise, [Symbol.dispose]: stop };
}

/** Collects the end of a stream. */
function gather(stream: Readable | null): Readonly<{ text(): string; isCut(): boolean }> {
  const chunks: Buffer[] = [];
  let [size, isCut] = [0, false];
  stream?.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    size += chunk.length;
    while (size - (chunks[0]?.length ?? 0) >= OUTPUT_LIMIT) {
      size -= chunks.shift()?.length ?? 0;
      isCut = true;
    }
  });
  return { text: () => textOf(Buffer.concat(chunks)), isCut: () => isCut };
}

/** Without the final line break. */
const textOf = (bytes: Buffer): string => bytes.toString().replace(/\r?\n$/, '');

const errorCode = (cause: unknown): unknown => (cause instanceof Error && 'code' in cause ? cause.code : undefined);

const tail = (output: string): string => output.trim().slice(-1024);

function missing(program: string, pkg: string | undefined): UpdateError {
  const hint = pkg === undefined ? '' : ` (Debian package ${pkg})`;
  return new UpdateError('tool-missing', `${program} is not installed${hint}.`);
}
