/** Serves the repository's files as any static web server would, with ranges and caching headers. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Serve, ServedFile } from '../../../system/http/served-file.ts';
import { hasHungUp, isOver } from '../over.ts';
import { plain } from '../refusals.ts';
import { REPOSITORY } from '../repository-shapes.ts';

/** `dir` is the folder with `metadata` and `targets`. */
export function repositoryRoutes(app: FastifyInstance, dir: string, serve: Serve): void {
  for (const folder of ['metadata', 'targets'] as const)
    app.route<{ Params: { '*': string } }>({
      method: ['GET', 'HEAD'],
      url: `/${folder}/*`,
      schema: REPOSITORY[folder],
      handler: async (request, reply) => {
        const path = `${folder}/${request.params['*']}`;
        await using file = SAFE_PATH.test(path) ? await serve(dir, path) : undefined;
        if (!file) return missing(reply);
        if (!hasHungUp(request)) await give(request, reply, path, file);
        // The file stays open until the last byte is sent or the client has hung up.
        await isOver(request, reply);
        return reply;
      },
    });
}

// No segment may start with a dot: this excludes `..` and the publisher's lock and temporary files.
const SAFE_PATH = /^(?:metadata|targets)(?:\/[A-Za-z0-9_~^-][A-Za-z0-9._~^-]{0,255}){1,8}$/;

// A cached 404 for the next root would keep hosts on the old one.
const missing = (reply: FastifyReply): FastifyReply =>
  reply.code(404).header('cache-control', 'no-store').send(plain('file-missing'));

async function give(
  { headers, method }: FastifyRequest<{ Params: { '*': string } }>,
  reply: FastifyReply,
  path: string,
  file: ServedFile,
): Promise<void> {
  const tag = `"${file.size.toString(16)}-${file.modified.getTime().toString(16)}"`;
  reply
    .headers({ etag: tag, 'last-modified': file.modified.toUTCString(), 'accept-ranges': 'bytes' })
    .header('cache-control', cacheControl(path))
    .type(path.endsWith('.json') ? 'application/json' : 'application/octet-stream');
  if (headers['if-none-match'] === tag) return void reply.code(304).send();
  const isSameFile = headers['if-range'] === undefined || headers['if-range'] === tag;
  await giveSpan(reply, file, isSameFile ? headers.range : undefined, method === 'HEAD');
}

/** Immutable if the name starts with a version or a digest, unlike `timestamp.json` and a publisher's extra files. */
const cacheControl = (path: string): string =>
  /\/(\d+|[0-9a-f]{64})\.[^/]+$/.test(path) ? 'public, max-age=31536000, immutable' : 'no-cache';

async function giveSpan(
  reply: FastifyReply,
  file: ServedFile,
  range: string | undefined,
  headOnly: boolean,
): Promise<void> {
  const span = spanOf(range, file.size);
  if (span === 'beyond') {
    reply.code(416).header('content-range', `bytes */${file.size}`).header('cache-control', 'no-store');
    return void reply.type('application/json').send(plain('range-beyond-end'));
  }
  const { start, end } = span === 'whole' ? { start: 0, end: file.size - 1 } : span;
  if (span !== 'whole') reply.code(206).header('content-range', `bytes ${start}-${end}/${file.size}`);
  reply.header('content-length', end - start + 1);
  reply.send(headOnly || file.size === 0 ? undefined : await file.span(start, end));
}

/** Both bounds are inclusive. */
type ByteSpan = Readonly<{ start: number; end: number }>;

/** The Range header of a request (RFC 9110 §14): `whole` without a range, or with one that may be ignored (several ranges, other units); `beyond` if the range lies outside the file. */
function spanOf(header: string | undefined, size: number): ByteSpan | 'whole' | 'beyond' {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return 'whole';
  if (first === '')
    return Number(last) === 0 || size === 0 ? 'beyond' : { start: Math.max(0, size - Number(last)), end: size - 1 };
  if (last !== '' && Number(last) < Number(first)) return 'whole';
  if (Number(first) >= size) return 'beyond';
  return { start: Number(first), end: last === '' ? size - 1 : Math.min(Number(last), size - 1) };
}
