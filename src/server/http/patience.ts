/** How long a client may keep a connection busy: a request must have arrived in time, and an answer must go on being taken. */

import type { FastifyReply, FastifyRequest } from 'fastify';

export type Patience = Readonly<{
  /** From its first byte, or from the beginning of the connection, until a request has arrived as a whole; also for the handshake of TLS. */
  requestMs: number;
  /** How long nothing may be taken of an answer. A slow link takes some bytes all the time, though the kernel tells of it in large steps. */
  stallMs: number;
}>;

export const PATIENCE: Patience = { requestMs: 30_000, stallMs: 600_000 };

/** The options of Node.js that see to it. They are looked after every second, or it would take half a minute more than promised. */
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
 * The answer that is being sent to a client whose next request has failed. It is given time to end: what is said of the next request would
 * become a part of it.
 */
export function underWayOn(socket: Connection): Answer | undefined {
  // Node.js decides by the same field when nobody handles the failure.
  const { _httpMessage: answer } = socket as Connection & Readonly<{ _httpMessage?: Answer | null }>;
  return answer?.headersSent === true && !answer.writableFinished ? answer : undefined;
}

type Connection = FastifyRequest['socket'];
type Answer = FastifyReply['raw'];
