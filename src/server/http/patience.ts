/** Time limits for slow clients: for sending a request, and for reading the answer. */

import type { FastifyReply, FastifyRequest } from 'fastify';

export type Patience = Readonly<{
  /** Milliseconds for a complete request, from its first byte or from the start of the connection; also for the TLS handshake. */
  requestMs: number;
  /** Milliseconds without progress in sending an answer. Long, because even a slow link shows progress only in large steps. */
  stallMs: number;
}>;

export const PATIENCE: Patience = { requestMs: 30_000, stallMs: 600_000 };

/** The options for Node.js. It checks connections every 30 s by default, which would add that much to each limit. */
export const patientFor = ({ requestMs, stallMs }: Patience) => ({
  requestTimeout: requestMs,
  connectionTimeout: stallMs,
  http: {
    requestTimeout: requestMs,
    headersTimeout: requestMs,
    handshakeTimeout: requestMs,
    connectionsCheckingInterval: Math.min(1000, requestMs / 4),
  },
});

/**
 * The answer still being sent on a connection whose next, pipelined request is malformed. It is left to finish: an error written now would
 * end up inside it.
 */
export function underWayOn(socket: Connection): Answer | undefined {
  // Node.js uses the same field in its default handler.
  const { _httpMessage: answer } = socket as Connection & Readonly<{ _httpMessage?: Answer | null }>;
  return answer?.headersSent === true && !answer.writableFinished ? answer : undefined;
}

type Connection = FastifyRequest['socket'];
type Answer = FastifyReply['raw'];
