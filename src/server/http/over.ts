/** When an answer is over: it was sent, or whom it was for has hung up. */

import type { FastifyReply, FastifyRequest } from 'fastify';

export const hasHungUp = ({ raw }: FastifyRequest): boolean => raw.socket.destroyed;

/** Also of an answer whose connection was lost before it began: one that waits behind another never hears of that itself. */
export async function isOver(request: FastifyRequest, { raw: answer }: FastifyReply): Promise<void> {
  if (answer.closed || hasHungUp(request)) return;
  const { socket } = request.raw;
  // One connection may ask for many things at once.
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
