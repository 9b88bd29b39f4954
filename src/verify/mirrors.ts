/** The mirrors of a repository: their order, and the error if none works. */

import { cleanLine } from '../clean-text.ts';
import { EXIT, UpdateError } from '../errors.ts';
import type { Log } from '../system/log.ts';
import type { MetadataMirror } from './metadata-fetch.ts';

/** Runs a task with the first mirror on which it succeeds; throws if there is none. */
export type AskMirrors = <T>(attempt: (mirror: MetadataMirror) => Promise<T>) => Promise<T>;

/** Tries mirrors in order; a failed one is moved to the end. */
export function askMirrors(mirrors: readonly MetadataMirror[], log: Log, signal: AbortSignal): AskMirrors {
  const order = [...mirrors];
  return async (attempt) => {
    const failures: Failure[] = [];
    for (const mirror of [...order]) {
      try {
        return await attempt(mirror);
      } catch (error) {
        signal.throwIfAborted();
        if (!isFaultOfMirror(error)) throw error;
        failures.push({ mirror: mirror.name, error });
        order.push(...order.splice(order.indexOf(mirror), 1));
        if (mirrors.length > 1) log.warn({ mirror: mirror.name, code: error.code, reason: error.message }, PASSED_OVER);
      }
    }
    throw noneIsGood(failures);
  };
}

type Failure = Readonly<{ mirror: string; error: UpdateError }>;

const PASSED_OVER = 'A mirror of the repository is passed over.';

/** Errors of our own disk, and caught-up roots, do not depend on the mirror. */
const isFaultOfMirror = (error: unknown): error is UpdateError =>
  error instanceof UpdateError && FAULTS.has(error.entry.exit) && error.code !== 'metadata-behind';

const FAULTS: ReadonlySet<number> = new Set([EXIT.network, EXIT.trust]);

/** Uses the code of the mirror that got furthest, whose advice is the most useful; the message lists all. */
function noneIsGood(failures: readonly Failure[]): UpdateError {
  const [first, ...others] = failures.toSorted((one, other) => reached(other.error) - reached(one.error));
  if (first === undefined) return new UpdateError('server-unreachable', 'There is no mirror to ask.');
  if (others.length === 0) return first.error;
  // Keeps a retry delay only if no other mirror could be asked sooner.
  const waitMs = Math.min(...failures.map(({ error }) => Number(error.details['retryAfterMs'] ?? 0)));
  return new UpdateError(first.error.code, `No mirror has what is needed. ${failures.map(describe).join(' ')}`, {
    cause: first.error,
    ...(waitMs > 0 ? { details: { retryAfterMs: waitMs } } : {}),
  });
}

/** How far a mirror got: to the signatures, to a wrong answer, or not even to that. */
function reached({ entry, code }: UpdateError): number {
  if (entry.exit === EXIT.trust) return 2;
  return SILENT.has(code) ? 0 : 1;
}

const SILENT: ReadonlySet<string> = new Set([
  'server-unreachable',
  'server-timeout',
  'server-slow',
  'server-busy',
  'connection-lost',
]);

function describe({ mirror, error }: Failure): string {
  const text = cleanLine(error.message, MOST_TEXT);
  return text.includes(mirror) ? text : `${mirror}: ${text}`;
}

const MOST_TEXT = 300;
