/** Requests of commands to a fleet server: as an operator, with a token from a file. */

import { ERRORS, type ErrorCode, UpdateError } from '../../errors.ts';
import { createHttp } from '../../system/http/http.ts';
import type { Context, Input, OptionSpec } from '../command.ts';
import { readGiven } from '../given-file.ts';

export const SERVER_OPTIONS: readonly OptionSpec[] = [
  { flags: '--server <url>', summary: 'the address of the fleet server', required: true },
  { flags: '--token-file <file>', summary: 'file with an operator’s token', required: true },
  { flags: '--ca <file>', summary: 'PEM certificates to trust instead of the system’s' },
];

/** The server's answer; its refusals become errors with the same codes. */
export async function askServer(
  context: Context,
  input: Input,
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: object,
): Promise<unknown> {
  const ca = input.text('ca');
  const http = createHttp({
    connectTimeoutMs: TIMEOUT_MS,
    idleTimeoutMs: TIMEOUT_MS,
    userAgent: `tandem/${context.version}`,
    clock: context.clock,
    ...(ca === undefined ? {} : { ca: await readGiven(context, ca) }),
  });
  const token = await tokenFrom(context, input.given('token-file'));
  const { status, body: answer } = await http.post(`${input.given('server').replace(/\/+$/, '')}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    maxBytes: 1024 * 1024,
    totalTimeoutMs: TIMEOUT_MS,
    signal: context.signal,
  });
  const said = parsed(answer);
  if (status >= 200 && status < 300) return said;
  const { code, message } = said as Readonly<{ code?: unknown; message?: unknown }>;
  const known = typeof code === 'string' && Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : undefined;
  if (known !== undefined && typeof message === 'string') throw new UpdateError(known, message.slice(0, 300));
  throw new UpdateError('server-failed', `The fleet server answered ${status}.`);
}

/** A token that fits in a header; otherwise the server would get the blame. */
async function tokenFrom(context: Context, file: string): Promise<string> {
  const token = new TextDecoder().decode(await readGiven(context, file)).trim();
  if (/^[\x21-\x7e]{1,1000}$/.test(token)) return token;
  throw new UpdateError('usage', `${file} does not hold a token: one line of letters, digits and punctuation.`);
}

/** The server's answer, checked; an invalid one is a protocol error. */
export function readAnswer<T>(check: (value: unknown, path: string) => T, answer: unknown): T {
  try {
    return check(answer, 'the answer');
  } catch (error) {
    throw new UpdateError('server-protocol', error instanceof Error ? error.message : undefined, { cause: error });
  }
}

const TIMEOUT_MS = 30_000;

function parsed(bytes: Uint8Array): object {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Reported below.
  }
  throw new UpdateError('server-protocol', 'The address is not a fleet server’s.');
}
