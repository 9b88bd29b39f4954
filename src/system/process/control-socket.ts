/** HTTP over a Unix socket: the server. Bodies, clients and waits are bounded. */

import { chmod, chown, mkdir, readFile, unlink } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { shownJson } from '../../clean-text.ts';
import { UpdateError } from '../../errors.ts';

export type ControlRequest = Readonly<{
  method: string;
  path: string;
  query: URLSearchParams;
  header(name: string): string | undefined;
  body: Uint8Array;
  /** Aborted when the client has gone. */
  signal: AbortSignal;
}>;

/** A document, text of some media type, or a stream of lines. */
export type ControlAnswer =
  | Readonly<{ status: number; document: unknown }>
  | Readonly<{ status: number; type: string; text: string }>
  | Readonly<{ lines: AsyncIterable<unknown> }>;

export type ControlOptions = Readonly<{ path: string; group: string; headers: Readonly<Record<string, string>> }>;

const BODY_LIMIT = 64 * 1024;
const CLIENTS = 64;
const REQUEST_MS = 10_000;

/** Listens until disposed. The caller holds the lock; even so, throws if another process answers on the socket. */
export async function serveControl(
  options: ControlOptions,
  handle: (request: ControlRequest) => Promise<ControlAnswer>,
): Promise<AsyncDisposable> {
  await mkdir(dirname(options.path), { recursive: true });
  await refuseSecond(options.path);
  const server = createServer((request, response) => {
    serve(request, response, options, handle).catch(() => response.destroy());
  });
  server.maxConnections = CLIENTS;
  server.requestTimeout = REQUEST_MS;
  server.headersTimeout = REQUEST_MS;
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(options.path, resolve));
  await openToGroup(options);
  return {
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A socket without a listener is left over. */
async function refuseSecond(path: string): Promise<void> {
  const answers = await new Promise<boolean>((resolve) => {
    const socket = connect(path, () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
  if (answers) throw new UpdateError('already-running', `Another agent answers on ${path}.`);
  await unlink(path).catch(() => {});
}

/** Root, and the group if it exists. */
async function openToGroup({ path, group }: ControlOptions): Promise<void> {
  const groups = await readFile('/etc/group', 'utf8').catch(() => '');
  const id = new RegExp(`^${group}:[^:]*:(\\d+):`, 'm').exec(groups)?.[1];
  if (id !== undefined) await chown(path, -1, Number(id)).catch(() => {});
  await chmod(path, 0o660);
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  options: ControlOptions,
  handle: (request: ControlRequest) => Promise<ControlAnswer>,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  for (const [name, value] of Object.entries(options.headers)) response.setHeader(name, value);
  const body = await readBody(request);
  if (!body)
    return send(response, 413, { error: { code: 'usage', message: `A request has at most ${BODY_LIMIT} bytes.` } });
  const url = new URL(request.url ?? '/', 'http://agent');
  const answer = await handle({
    method: request.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    header: (name) => [request.headers[name]].flat()[0],
    body,
    signal: gone.signal,
  });
  if ('lines' in answer) await sendLines(response, answer.lines, gone.signal);
  else if ('text' in answer) response.writeHead(answer.status, { 'content-type': answer.type }).end(answer.text);
  else send(response, answer.status, answer.document);
}

async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= BODY_LIMIT) chunks.push(chunk);
  }
  return size > BODY_LIMIT ? undefined : Buffer.concat(chunks);
}

function send(response: ServerResponse, status: number, document: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${shownJson(JSON.stringify(document))}\n`);
}

async function sendLines(response: ServerResponse, lines: AsyncIterable<unknown>, signal: AbortSignal): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  for await (const line of lines) {
    if (signal.aborted) break;
    if (!response.write(`${shownJson(JSON.stringify(line))}\n`)) await drained(response);
  }
  response.end();
}

const drained = (response: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    response.once('drain', resolve).once('close', resolve);
  });
