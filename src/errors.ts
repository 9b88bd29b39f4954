/** UpdateError and the table of codes: exit status, when to retry, one sentence, the next step. */

/** When a machine may try again by itself. */
export type Retry = 'now' | 'later' | 'never';

export type ErrorEntry = Readonly<{ exit: number; retry: Retry; sentence: string; next: string }>;

const entry = (exit: number, retry: Retry, sentence: string, next: string): ErrorEntry => ({
  exit,
  retry,
  sentence,
  next,
});

/**
 * Every failure has a name. Exit statuses: 1 unexpected, 2 wrong usage or configuration, 3 nothing to do or held, 4 network,
 * 5 trust, 6 bundle, 7 disk, 8 boot, 9 daemon.
 */
export const ERRORS = {
  // general
  unexpected: entry(1, 'later', 'Something failed that Tandem has no name for.', 'Please report it with the log.'),
  usage: entry(2, 'never', 'The command line is not understood.', 'Run the command with --help.'),
  'config-invalid': entry(
    2,
    'never',
    'A configuration file has an error.',
    'Fix the named key; `updatectl config show` lists all keys.',
  ),
  'tool-missing': entry(2, 'never', 'A program that this step needs is not installed.', 'Install the named package.'),
  'tool-failed': entry(1, 'later', 'A program that this step runs failed.', 'Read its message, which is quoted.'),
  interrupted: entry(
    1,
    'later',
    'The work was stopped before it was finished.',
    'Run it again; what was done is kept.',
  ),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** The one error class. `message` says what happened here; the table says what the code means and what to do next. */
export class UpdateError extends Error {
  override readonly name = 'UpdateError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, string | number>>;

  constructor(
    code: ErrorCode,
    message?: string,
    options: { cause?: unknown; details?: Record<string, string | number> } = {},
  ) {
    super(message ?? ERRORS[code].sentence, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  get entry(): ErrorEntry {
    return ERRORS[this.code];
  }
}

/** Any thrown thing as an UpdateError, its cause kept. */
export function asUpdateError(error: unknown): UpdateError {
  if (error instanceof UpdateError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new UpdateError('unexpected', message, { cause: error });
}
