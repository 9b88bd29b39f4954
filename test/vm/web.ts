/** A static web server for one machine's repository, with ranges, a record of what was asked for, and ways to fail. */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join, normalize } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** What to do with a request instead of answering it: a status, or breaking off after so many bytes. */
export type Trouble = Readonly<{ status: number } | { breakAfter: number }>;

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
    answer(join(dir, path), decide?.(path), request, response).catch(() => response.destroy());
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

async function answer(
  file: string,
  trouble: Trouble | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const found = await stat(file).catch(() => undefined);
  if (trouble && 'status' in trouble) return void response.writeHead(trouble.status).end();
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
  const last = trouble ? Math.min(end, start + trouble.breakAfter - 1) : end;
  await pipeline(createReadStream(file, { start, end: last }), response, { end: last === end });
  if (last < end) response.destroy();
}

function rangeOf(header: string | undefined, size: number): [number, number] | 'outside' | undefined {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === undefined) return undefined;
  const start = Number(first);
  return start >= size ? 'outside' : [start, last ? Math.min(Number(last), size - 1) : size - 1];
}
