/** A static web server for one machine's repository, with ranges, a record of what was asked for, and ways to fail. */

import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join, normalize } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** How a server may misbehave. */
export type Trouble = Readonly<
  | { status: number; headers?: Readonly<Record<string, string>>; body?: string }
  /** Breaks off, or falls silent, after so many bytes. */
  | { breakAfter: number }
  | { stallAfter: number }
  | { bytesPerSecond: number }
  /** One bit is wrong. */
  | { flipAt: number }
  /** Another folder is served. */
  | { from: string }
  /** It answers when that has happened. */
  | { after: Promise<unknown> }
>;

export type Web = Readonly<{
  port: number;
  /** "GET /path" or "GET /path bytes=…", in order. */
  requests: string[];
  /** Decides for each request whether there is trouble; undefined ends all trouble. */
  trouble(decide: ((path: string) => Trouble | undefined) | undefined): void;
  close(): Promise<void>;
}>;

/** Serves `dir` on a free port of this machine; guests reach its loopback address as 10.0.2.2. */
export async function serve(dir: string, address = '127.0.0.1'): Promise<Web> {
  const requests: string[] = [];
  let decide: ((path: string) => Trouble | undefined) | undefined;
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://web').pathname));
    requests.push([request.method, path, request.headers.range].filter(Boolean).join(' '));
    answer(dir, path, decide?.(path), { request, response }).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const listening = server.address();
  if (listening === null || typeof listening === 'string') throw new Error('the web server has no port');
  return {
    port: listening.port,
    requests,
    trouble: (next) => {
      decide = next;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type Asked = Readonly<{ request: IncomingMessage; response: ServerResponse }>;

async function answer(dir: string, path: string, trouble: Trouble | undefined, asked: Asked): Promise<void> {
  const { request, response } = asked;
  if (trouble && 'after' in trouble) await trouble.after;
  if (trouble && 'status' in trouble) return void response.writeHead(trouble.status, trouble.headers).end(trouble.body);
  const file = join(trouble && 'from' in trouble ? trouble.from : dir, path);
  const found = await stat(file).catch(() => undefined);
  if (!found?.isFile()) return void response.writeHead(404).end();

  const range = rangeOf(request.headers.range, found.size);
  if (range === 'outside') return void response.writeHead(416, { 'Content-Range': `bytes */${found.size}` }).end();
  const [start, end] = range ?? [0, found.size - 1];
  response.writeHead(range ? 206 : 200, {
    'Content-Length': end - start + 1,
    'Accept-Ranges': 'bytes',
    ETag: `"${found.size}-${Math.trunc(found.mtimeMs)}"`,
    ...(range ? { 'Content-Range': `bytes ${start}-${end}/${found.size}` } : {}),
  });
  if (request.method === 'HEAD' || found.size === 0) return void response.end();
  const chunks = createReadStream(file, { start, end });
  await pipeline(trouble ? troubled(chunks, trouble, response) : chunks, response);
}

/** What a server in trouble sends of a body. */
async function* troubled(
  chunks: AsyncIterable<Buffer>,
  trouble: Trouble,
  response: ServerResponse,
): AsyncGenerator<Buffer> {
  let sent = 0;
  for await (const whole of chunks) {
    const left = limitOf(trouble) - sent;
    const chunk = whole.subarray(0, left);
    if ('flipAt' in trouble) flip(chunk, trouble.flipAt - sent);
    sent += chunk.length;
    yield chunk;
    if ('bytesPerSecond' in trouble) await sleep((chunk.length / trouble.bytesPerSecond) * 1000);
    if (chunk.length === whole.length) continue;
    if ('stallAfter' in trouble) await once(response, 'close');
    throw new Error('broken off');
  }
}

const limitOf = (trouble: Trouble): number =>
  'breakAfter' in trouble
    ? trouble.breakAfter
    : 'stallAfter' in trouble
      ? trouble.stallAfter
      : Number.POSITIVE_INFINITY;

function flip(chunk: Buffer, at: number): void {
  const byte = chunk[at];
  if (byte !== undefined) chunk[at] = byte ^ 1;
}

function rangeOf(header: string | undefined, size: number): [number, number] | 'outside' | undefined {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === undefined) return undefined;
  const start = Number(first);
  return start >= size ? 'outside' : [start, last ? Math.min(Number(last), size - 1) : size - 1];
}
