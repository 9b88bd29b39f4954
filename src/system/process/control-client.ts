/** HTTP over a Unix socket: the client. */

import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { UpdateError } from '../../errors.ts';

export type ControlCall = Readonly<{
  socket: string;
  method: 'GET' | 'POST';
  path: string;
  headers: Readonly<Record<string, string>>;
  body?: unknown;
  signal: AbortSignal;
}>;

export type ControlReply = Readonly<{ status: number; header(name: string): string | undefined; document: unknown }>;

const REPLY_LIMIT = 4 * 1024 * 1024;
const TIMEOUT_MS = 120_000;
/** Longer than the agent's interval between signs of life on a stream. */
const SILENCE_MS = 60_000;

/** One request, one document; an answer that is not JSON is text. */
export async function call(options: ControlCall): Promise<ControlReply> {
  const response = await open(options, TIMEOUT_MS);
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > REPLY_LIMIT) throw new UpdateError('agent-lost', 'The agent’s answer is too long.');
      chunks.push(chunk);
    }
  } catch (error) {
    throw lost(error);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  const header = (name: string) => [response.headers[name]].flat()[0];
  const document = header('content-type')?.startsWith('text/plain') ? text : (JSON.parse(text) as unknown);
  return { status: response.statusCode ?? 0, header, document };
}

/** The lines of a stream, until either side ends it. */
export async function* follow(options: ControlCall): AsyncGenerator<unknown> {
  const response = await open(options, SILENCE_MS);
  try {
    for await (const line of createInterface({ input: response })) yield JSON.parse(line) as unknown;
  } catch (error) {
    throw lost(error);
  } finally {
    response.destroy();
  }
}

function open(options: ControlCall, timeoutMs: number): Promise<IncomingMessage> {
  const { socket, method, path, headers, body, signal } = options;
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath: socket, method, path, headers, signal, timeout: timeoutMs }, resolve);
    outgoing.once('timeout', () => outgoing.destroy(new Error('the agent is silent')));
    outgoing.once('error', (error: NodeJS.ErrnoException) =>
      reject(signal.aborted ? signal.reason : refused(error, socket)),
    );
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function refused(error: NodeJS.ErrnoException, socket: string): UpdateError {
  if (error.code === 'EACCES') return new UpdateError('agent-denied', `${socket} may not be opened by this user.`);
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED')
    return new UpdateError('agent-not-running', `Nobody answers on ${socket}.`);
  return lost(error);
}

const lost = (error: unknown): UpdateError =>
  error instanceof UpdateError
    ? error
    : new UpdateError(
        'agent-lost',
        `The connection to the agent broke: ${error instanceof Error ? error.message : error}.`,
        { cause: error },
      );
