/** Checks the head of an HTTP answer: status and headers must match the request. */

import type { IncomingHttpHeaders } from 'node:http';
import { cleanLine } from '../../clean-text.ts';
import { UpdateError } from '../../errors.ts';
import { redactUrl } from './shown-address.ts';

export type AnswerHead = Readonly<{ statusCode: number; headers: IncomingHttpHeaders }>;
export type Span = Readonly<{ offset: number; end: number; total: number }>;

/** Throws unless the answer is a plain 200 or 206 without an encoding. */
export function checkHead(head: AnswerHead, name: string, now: Date): void {
  if (head.statusCode !== 200 && head.statusCode !== 206) throw statusError(head, name, now);
  const encoding = head.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    throw new UpdateError('server-encoding', `${name} came with content encoding "${encoding.slice(0, 40)}".`);
  if (/^multipart\//i.test(head.headers['content-type'] ?? ''))
    throw new UpdateError('server-encoding', `${name} came as a multipart answer.`);
}

/** Throws if the answer shows that the server cannot send parts of files. */
export function checkPart(head: AnswerHead, span: Span, name: string): void {
  const total = /^bytes \*\/(\d{1,15})$/i.exec(head.headers['content-range'] ?? '')?.[1];
  const isDenied = head.statusCode === 416 && (total === undefined || Number(total) === span.total);
  if (head.statusCode === 200 || isDenied)
    throw new UpdateError(
      'server-no-ranges',
      `${name}: the server answers ${head.statusCode} to a request for bytes ${span.offset}-${span.end - 1}.`,
    );
}

/** The number of bytes to discard before the span: 0 for a correct 206, the offset if the whole file is sent. */
export function bytesToSkip(head: AnswerHead, span: Span, ranged: boolean, name: string): number {
  if (head.statusCode === 206) {
    if (!ranged)
      throw new UpdateError(
        'server-protocol',
        `${name}: the server sent a part although the whole file was requested.`,
      );
    checkContentRange(head.headers['content-range'], span, name);
    checkLength(head, span.end - span.offset, name);
    return 0;
  }
  checkLength(head, span.total, name);
  return span.offset;
}

/** The announced length of the body, if any. */
export function announcedLength(head: AnswerHead): number | undefined {
  const length = head.headers['content-length'];
  return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

/** `Retry-After` in milliseconds, clamped between a second and an hour. */
export function retryAfterMs(value: string | undefined, now: Date): number | undefined {
  if (value === undefined) return undefined;
  const asked = /^\d{1,9}$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - now.getTime();
  return Number.isNaN(asked) ? undefined : Math.min(Math.max(asked, 1000), 3_600_000);
}

export const tooMuch = (name: string, limit: number): UpdateError =>
  new UpdateError('server-too-much', `${name} is longer than ${limit} bytes.`);

function statusError(head: AnswerHead, name: string, now: Date): UpdateError {
  const status = head.statusCode;
  const details = { status };
  if (status >= 300 && status < 400)
    return new UpdateError(
      'server-redirects',
      `${name}: the server answers ${status}, a redirect${target(head, name)}.`,
      {
        details,
      },
    );
  if (status === 401 || status === 403)
    return new UpdateError('server-denied', `${name}: the server answers ${status}.`, { details });
  if (status === 404 || status === 410)
    return new UpdateError('not-found-on-server', `${name}: the server answers ${status}.`, { details });
  if (status === 407) return new UpdateError('proxy-auth', `${name}: the proxy answers 407.`, { details });
  if (status === 416)
    return new UpdateError('server-file-changed', `${name}: the server says its file is shorter (416).`, { details });
  if (status === 429 || status === 503) return busy(head, name, now);
  if (status >= 500) return new UpdateError('server-failed', `${name}: the server answers ${status}.`, { details });
  return new UpdateError('server-protocol', `${name}: the server answers ${status}, which makes no sense here.`, {
    details,
  });
}

/** The target of a redirect, so that the configuration can be corrected; without its query, which may contain a signature. */
function target({ headers }: AnswerHead, name: string): string {
  const url = headers.location === undefined ? undefined : URL.parse(headers.location, name);
  return url ? ` to ${cleanLine(redactUrl(url.href), 300)}` : '';
}

function busy(head: AnswerHead, name: string, now: Date): UpdateError {
  const wait = retryAfterMs(head.headers['retry-after'], now);
  const when = wait === undefined ? '' : ` and asks to wait ${Math.ceil(wait / 1000)} s`;
  return new UpdateError('server-busy', `${name}: the server answers ${head.statusCode}${when}.`, {
    details: { status: head.statusCode, ...(wait === undefined ? {} : { retryAfterMs: wait }) },
  });
}

function checkContentRange(value: string | undefined, span: Span, name: string): void {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(value ?? '');
  if (!match)
    throw new UpdateError('server-protocol', `${name}: the server sent a part without a valid Content-Range.`);
  const [start, last] = match.slice(1).map(Number);
  const total = match[3] ?? '*';
  // A server need not state the length of the whole file; the digest is verified anyway.
  if (total !== '*' && Number(total) !== span.total)
    throw new UpdateError('server-file-changed', `${name} has ${total} bytes on the server, not ${span.total}.`);
  if (start !== span.offset || last !== span.end - 1)
    throw new UpdateError(
      'server-protocol',
      `${name}: bytes ${start}-${last} came, ${span.offset}-${span.end - 1} were requested.`,
    );
}

function checkLength(head: AnswerHead, expected: number, name: string): void {
  const length = announcedLength(head);
  if (length !== undefined && length !== expected)
    throw new UpdateError('server-file-changed', `${name} has ${length} bytes on the server, not ${expected}.`);
}
