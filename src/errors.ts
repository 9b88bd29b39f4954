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

/** Exit statuses of `updatectl`. */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  nothing: 3,
  network: 4,
  trust: 5,
  bundle: 6,
  disk: 7,
  boot: 8,
  daemon: 9,
} as const;

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
  // agent
  'wrong-product': entry(
    5,
    'later',
    'The release is for another product.',
    'Check `host.product` and the channel of this host.',
  ),
  'wrong-architecture': entry(5, 'later', 'The release is for another processor.', 'Check the channel of this host.'),
  'agent-too-old': entry(
    5,
    'later',
    'The release needs a newer agent than this one.',
    'Install the stepping-stone release that the publisher names first.',
  ),
  'state-unwritable': entry(
    7,
    'later',
    'The state directory cannot be written.',
    'Check its space and that it is mounted writable.',
  ),
  'state-unreadable': entry(
    7,
    'later',
    'A state file cannot be understood.',
    'Nothing to do: it was moved aside and is built anew.',
  ),
  // bundle
  'uki-invalid': entry(
    6,
    'never',
    'A file that should be a unified kernel image is not one.',
    'Build it with ukify, or let `bundle build` do so from --kernel, --initrd and --cmdline.',
  ),
  'uki-mismatch': entry(
    6,
    'never',
    'A unified kernel image names another root hash or version than this release.',
    'Rebuild it with the root hash that the message gives, or let `bundle build` make it.',
  ),
  'image-too-large': entry(
    6,
    'never',
    'An image is larger than a bundle can carry.',
    'Make the image smaller, or compress it into less than 8 GiB.',
  ),
  'not-a-regular-file': entry(
    6,
    'never',
    'A pipe, device or folder stands where a regular file is needed, since it is read more than once.',
    'Save its content to a file first.',
  ),
  'file-unreadable': entry(7, 'later', 'A file cannot be opened.', 'Check its path and permissions.'),
  'file-unwritable': entry(7, 'later', 'A file cannot be written.', 'Check the path, permissions and free space.'),
  'bundle-size': entry(
    6,
    'later',
    'The bundle is shorter or longer than its manifest says.',
    'Fetch or copy the bundle again.',
  ),
  'bundle-format': entry(6, 'never', 'The file is not a bundle.', 'Build it with `updatectl bundle build`.'),
  'bundle-entry': entry(
    6,
    'never',
    'A bundle entry is not the one that its manifest demands at this place.',
    'Rebuild the bundle; do not change it by hand.',
  ),
  'bundle-padding': entry(
    6,
    'never',
    'The bundle hides bytes between or after its entries.',
    'Rebuild the bundle; do not change it by hand.',
  ),
  'manifest-too-large': entry(6, 'never', 'The manifest is larger than 1 MiB.', 'Rebuild the bundle.'),
  'manifest-mismatch': entry(
    6,
    'later',
    'The manifest is not the one that the repository promises.',
    'Fetch the bundle again; if it stays, publish the release again.',
  ),
  'manifest-invalid': entry(6, 'never', 'The manifest breaks a rule of its format.', 'Rebuild the bundle.'),
  'frame-table-mismatch': entry(
    6,
    'later',
    'A frame table is not the one that the manifest promises.',
    'Fetch the bundle again.',
  ),
  'frame-table-invalid': entry(6, 'never', 'A frame table contradicts the manifest.', 'Rebuild the bundle.'),
  'frame-mismatch': entry(
    6,
    'later',
    'A compressed frame is not the one that the frame table promises.',
    'Fetch the bundle again.',
  ),
  'frame-invalid': entry(
    6,
    'never',
    'A compressed frame is not a single plain zstd frame of the expected size.',
    'Rebuild the bundle.',
  ),
  'block-mismatch': entry(
    6,
    'never',
    'A block of an image does not match its verity tree.',
    'Rebuild the bundle: its image and its tree belong to different builds.',
  ),
  'image-mismatch': entry(
    6,
    'never',
    'An image is not the one that the manifest promises.',
    'Rebuild the bundle: its parts belong to different builds.',
  ),
  'tree-invalid': entry(
    6,
    'never',
    'The image with the verity tree does not fit the root image.',
    'Rebuild the bundle: its image and its tree belong to different builds.',
  ),
  'file-changed': entry(
    7,
    'later',
    'A file became shorter while it was being read.',
    'Run the command again and leave the file alone.',
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
