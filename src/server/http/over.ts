/** The end of an answer: it was sent, or the client has hung up. */

import type { FastifyReply, FastifyRequest } from 'fastify';

export const hasHungUp = ({ raw }: FastifyRequest): boolean => raw.socket.destroyed;

/** Watches the socket too: an answer that is queued behind another on its connection gets no event when the connection is lost. */
export async function isOver(request: FastifyRequest, { raw: answer }: FastifyReply): Promise<void> {
  if (answer.closed || hasHungUp(request)) return;
  const { socket } = request.raw;
  // One connection may have many pipelined requests.
  socket.setMaxListeners(0);
  await new Promise<void>((resolve) => {
    const over = (): void => {
      answer.off('close', over);
      socket.off('close', over);
      resolve();
    };
    answer.once('close', over);
    socket.once('close', over);
  });
}
