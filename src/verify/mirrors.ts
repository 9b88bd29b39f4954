/** The places where one repository lies: which is asked first, and what to say when none of them will do. */

import { cleanLine } from '../clean-text.ts';
import { EXIT, UpdateError } from '../errors.ts';
import type { Log } from '../system/log.ts';
import type { MetadataMirror } from './metadata-fetch.ts';

/** Does something with the first mirror that is good for it; throws when none is. */
export type AskMirrors = <T>(attempt: (mirror: MetadataMirror) => Promise<T>) => Promise<T>;

/** Asks mirrors in their order; one that has failed comes last from then on. */
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

/** What lies on our own disk is no better with another mirror, and roots that were caught up are kept. */
const isFaultOfMirror = (error: unknown): error is UpdateError =>
  error instanceof UpdateError && FAULTS.has(error.entry.exit) && error.code !== 'metadata-behind';

const FAULTS: ReadonlySet<number> = new Set([EXIT.network, EXIT.trust]);

/** The code is that of the mirror that got furthest, since its advice is worth most; the message tells of all. */
function noneIsGood(failures: readonly Failure[]): UpdateError {
  const [first, ...others] = failures.toSorted((one, other) => reached(other.error) - reached(one.error));
  if (first === undefined) return new UpdateError('server-unreachable', 'There is no mirror to ask.');
  if (others.length === 0) return first.error;
  // A wait is kept only when nobody else could be asked sooner.
  const waitMs = Math.min(...failures.map(({ error }) => Number(error.details['retryAfterMs'] ?? 0)));
  return new UpdateError(first.error.code, `No mirror has what is needed. ${failures.map(told).join(' ')}`, {
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

function told({ mirror, error }: Failure): string {
  const text = cleanLine(error.message, MOST_TEXT);
  return text.includes(mirror) ? text : `${mirror}: ${text}`;
}

const MOST_TEXT = 300;
