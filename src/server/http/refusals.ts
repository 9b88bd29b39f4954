/** What a caller is told that does not get what it asked for: a code, a sentence, and what to do about it. */

import type { FastifyInstance, FastifyReply, FastifyServerOptions } from 'fastify';
import { asUpdateError, ERRORS, type ErrorCode, type UpdateError } from '../../errors.ts';
import type { FailureLog } from './failure-log.ts';
import { FLEETLOCK_REFUSAL } from './lock-shapes.ts';
import type { Interface } from './openapi.ts';
import { underWayOn } from './patience.ts';

/** How a refusal is worded for those who ask. */
export type Wording = (code: ErrorCode, message?: string) => object;

export const plain: Wording = (code, message = ERRORS[code].sentence) => ({ code, message, next: ERRORS[code].next });
export const fleetLock: Wording = (kind, value = ERRORS[kind].sentence) => ({ kind, value });

/** Whatever is thrown in `scope` becomes a refusal; what is no fault of the caller's is logged, and not told. */
export function answerFailures(scope: FastifyInstance, failed: FailureLog, worded: Wording): void {
  scope.setErrorHandler((error: Failure, request, reply) => {
    const { code, message, details } = asUpdateError(error);
    const status = error.statusCode ?? statusOf(code);
    sayWhen(reply, status === 503 ? { retryAfterMs: OUTAGE_MS, ...details } : details);
    const named = error.statusCode === undefined ? code : codeOf(status);
    if (status < 500) return reply.code(status).send(worded(named, message));
    failed(code, message, request.url);
    return reply.code(status).send(worded(code, 'The server could not do this; its log says why.'));
  });
}

/** When to ask again, where that is known. */
export function sayWhen(reply: FastifyReply, { retryAfterMs }: UpdateError['details']): void {
  if (retryAfterMs !== undefined) reply.header('retry-after', Math.ceil(Number(retryAfterMs) / 1000));
}

/** Hosts that are told nothing would all come back at their next poll, or at once. */
const OUTAGE_MS = 30_000;

type Failure = Error & Readonly<{ statusCode?: number }>;

/** What is out of reach for a while is asked for again; the rest is a fault of ours. */
export const statusOf = (code: string): number => STATUSES[code] ?? (/^(etcd|store)-/.test(code) ? 503 : 500);

const STATUSES: Readonly<Record<string, number>> = {
  'too-many-requests': 429,
  'machine-secret-wrong': 403,
  'machine-secret-missing': 403,
  'lock-identity': 409,
  'machine-cloned': 409,
};

const codeOf = (status: number): ErrorCode => CODES[status] ?? 'request-invalid';

const CODES: Readonly<Record<number, ErrorCode>> = {
  404: 'not-found',
  408: 'request-slow',
  413: 'request-too-large',
  415: 'request-type',
  429: 'too-many-requests',
  431: 'request-too-large',
};

/** An address of which there is nothing, or not with this method; whatever its body is, it is not read. */
export function answerMissing(app: FastifyInstance, routesAt: Interface['routesAt']): void {
  app.addHook('onRequest', (request, reply, go) => {
    if (!request.is404) return go();
    const routes = routesAt(request.url.replace(/[?#].*/s, ''));
    if (routes.length === 0) return reply.code(404).send(plain('not-found'));
    const allow = [...new Set(routes.flatMap(({ methods }) => methods))].toSorted().join(', ');
    const worded = routes.some(({ refusal }) => refusal === FLEETLOCK_REFUSAL) ? fleetLock : plain;
    const message = `This is asked with ${allow}, not with ${request.method}.`;
    reply.code(405).header('allow', allow).send(worded('method-not-allowed', message));
  });
}

type Refusals = Required<Pick<FastifyServerOptions, 'frameworkErrors' | 'clientErrorHandler'>> &
  Readonly<{ http: Readonly<{ requireHostHeader: false }> }>;

/** What never gets as far as a route: an address that is none, and bytes that are not HTTP. */
export const BEFORE_ROUTES: Refusals = {
  frameworkErrors: (error, _request, reply) => {
    const status = error.statusCode ?? 400;
    const answer = reply as unknown as FastifyReply;
    answer.code(status).send(plain(codeOf(status), 'The address holds what is not UTF-8.'));
  },
  clientErrorHandler: (error, socket) => {
    const underWay = underWayOn(socket);
    if (underWay) return void underWay.once('close', () => socket.destroy(error));
    if (socket.writable && error.code !== 'ECONNRESET') socket.write(answerTo(error.code));
    socket.destroy(error);
  },
  // It is required all the same, by `answerBeforeNode`.
  http: { requireHostHeader: false },
};

/** What Node.js would answer by itself, without a word. */
export function answerBeforeNode(app: FastifyInstance): void {
  const without = JSON.stringify(plain('request-invalid', 'What is expected here (`Expect`) is not known.'));
  app.server.on('checkExpectation', (_request, response) => {
    const type = { 'content-type': 'application/json; charset=utf-8' };
    response.writeHead(417, { ...type, 'content-length': Buffer.byteLength(without) }).end(without);
  });
  app.addHook('onRequest', ({ headers, raw }, reply, go) => {
    // Nobody is given another protocol; but Node.js hears nothing more on a connection that has asked for one with a body.
    if (headers.upgrade !== undefined) reply.header('connection', 'close');
    const isNamed = headers.host !== undefined || raw.httpVersion === '1.0';
    go(isNamed ? undefined : Object.assign(new Error('The header `Host` is missing.'), { statusCode: 400 }));
  });
}

function answerTo(failure: string | undefined): string {
  const status = { ERR_HTTP_REQUEST_TIMEOUT: 408, HPE_HEADER_OVERFLOW: 431 }[failure ?? ''] ?? 400;
  const body = JSON.stringify(plain(codeOf(status), status === 400 ? 'This is not HTTP.' : undefined));
  const head = `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8`;
  return `${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
