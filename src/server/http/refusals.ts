/** Answers to refused requests: a code, a sentence and the next step. */

import type { FastifyInstance, FastifyReply, FastifyServerOptions } from 'fastify';
import { asUpdateError, ERRORS, type ErrorCode, type UpdateError } from '../../errors.ts';
import type { FailureLog } from './failure-log.ts';
import { FLEETLOCK_REFUSAL } from './lock-shapes.ts';
import type { Interface } from './openapi.ts';
import { underWayOn } from './patience.ts';

/** Builds the body of a refusal, in the form that the route's clients expect. */
export type Wording = (code: ErrorCode, message?: string) => object;

export const plain: Wording = (code, message = ERRORS[code].sentence) => ({ code, message, next: ERRORS[code].next });
export const fleetLock: Wording = (kind, value = ERRORS[kind].sentence) => ({ kind, value });

/** Turns everything thrown in `scope` into a refusal. Server errors are logged, and their details kept from the caller. */
export function answerFailures(scope: FastifyInstance, failed: FailureLog, worded: Wording): void {
  scope.setErrorHandler((error: Failure, request, reply) => {
    const { code, message, details } = asUpdateError(error);
    const status = error.statusCode ?? statusOf(code);
    setRetryAfter(reply, status === 503 ? { retryAfterMs: OUTAGE_MS, ...details } : details);
    const named = error.statusCode === undefined ? code : codeOf(status);
    if (status < 500) return reply.code(status).send(worded(named, message));
    failed(code, message, request.url);
    return reply.code(status).send(worded(code, 'The server failed to process this request; see its log.'));
  });
}

/** Sets Retry-After, if the time is known. */
export function setRetryAfter(reply: FastifyReply, { retryAfterMs }: UpdateError['details']): void {
  if (retryAfterMs !== undefined) reply.header('retry-after', Math.ceil(Number(retryAfterMs) / 1000));
}

/** Retry-After in an outage; without it all hosts would return at their next poll, or immediately. */
const OUTAGE_MS = 30_000;

type Failure = Error & Readonly<{ statusCode?: number }>;

/** 503 for an unreachable store, so that clients retry; 500 for the rest. */
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

/** Answers 404 and 405 before the body is read. */
export function answerMissing(app: FastifyInstance, routesAt: Interface['routesAt']): void {
  app.addHook('onRequest', (request, reply, go) => {
    if (!request.is404) return go();
    const routes = routesAt(request.url.replace(/[?#].*/s, ''));
    if (routes.length === 0) return reply.code(404).send(plain('not-found'));
    const allow = [...new Set(routes.flatMap(({ methods }) => methods))].toSorted().join(', ');
    const worded = routes.some(({ refusal }) => refusal === FLEETLOCK_REFUSAL) ? fleetLock : plain;
    const message = `This address supports ${allow}, not ${request.method}.`;
    reply.code(405).header('allow', allow).send(worded('method-not-allowed', message));
  });
}

type Refusals = Required<Pick<FastifyServerOptions, 'frameworkErrors' | 'clientErrorHandler'>> &
  Readonly<{ http: Readonly<{ requireHostHeader: false }> }>;

/** Refusals before routing: invalid addresses, and bytes that are not HTTP. */
export const BEFORE_ROUTES: Refusals = {
  frameworkErrors: (error, _request, reply) => {
    const status = error.statusCode ?? 400;
    const answer = reply as unknown as FastifyReply;
    answer.code(status).send(plain(codeOf(status), 'The address is not valid UTF-8.'));
  },
  clientErrorHandler: (error, socket) => {
    const underWay = underWayOn(socket);
    if (underWay) return void underWay.once('close', () => socket.destroy(error));
    if (socket.writable && error.code !== 'ECONNRESET') socket.write(answerTo(error.code));
    socket.destroy(error);
  },
  // `answerBeforeNode` requires it instead, with an answer in our form.
  http: { requireHostHeader: false },
};

/** Refusals for which Node.js itself would send an empty answer. */
export function answerBeforeNode(app: FastifyInstance): void {
  const without = JSON.stringify(plain('request-invalid', 'The expectation in the `Expect` header is not supported.'));
  // We never switch protocols, but Node.js reads nothing more from a connection after an Upgrade request with a body. Not a hook: the router
  // refuses some addresses before any hook runs.
  app.server.prependListener('request', closeAfterUpgrade);
  app.server.on('checkExpectation', (request, response) => {
    closeAfterUpgrade(request, response);
    const type = { 'content-type': 'application/json; charset=utf-8' };
    response.writeHead(417, { ...type, 'content-length': Buffer.byteLength(without) }).end(without);
  });
  app.addHook('onRequest', ({ headers, raw }, _reply, go) => {
    const isNamed = headers.host !== undefined || raw.httpVersion === '1.0';
    go(isNamed ? undefined : Object.assign(new Error('The `Host` header is missing.'), { statusCode: 400 }));
  });
}

function closeAfterUpgrade(
  { headers }: Readonly<{ headers: Readonly<{ upgrade?: string | undefined }> }>,
  response: Readonly<{ setHeader(name: string, value: string): unknown }>,
): void {
  if (headers.upgrade !== undefined) response.setHeader('connection', 'close');
}

function answerTo(failure: string | undefined): string {
  const status = { ERR_HTTP_REQUEST_TIMEOUT: 408, HPE_HEADER_OVERFLOW: 431 }[failure ?? ''] ?? 400;
  const body = JSON.stringify(plain(codeOf(status), status === 400 ? 'This is not HTTP.' : undefined));
  const head = `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8`;
  return `${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
