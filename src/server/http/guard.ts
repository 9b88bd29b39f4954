/** Lets only those ask who have a token that is good for it, and remembers who asks. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Access } from '../access.ts';
import { type Holder, mayAct, type Role, tokenIn } from '../tokens.ts';
import type { Wording } from './refusals.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose token came with it. */
    holder?: Holder | undefined;
  }
}

/** Every route of `scope` needs the role that `roleFor` its method. */
export function guard(
  scope: FastifyInstance,
  access: Access,
  roleFor: (method: string) => Role,
  worded: Wording,
): void {
  scope.addHook('onRoute', (route) => {
    route.schema = { ...route.schema, security: [{ [roleFor([route.method].flat()[0] ?? '')]: [] }] };
  });
  scope.addHook('onRequest', async (request, reply) => {
    const role = roleFor(request.method);
    if (role === 'machine' && access.isOpenToHosts) return;
    request.holder = await access.holderOf(tokenIn(request.headers.authorization));
    if (!mayAct(request.holder, role)) await refuse(request, reply, role, worded);
  });
}

function refuse({ holder }: FastifyRequest, reply: FastifyReply, role: Role, worded: Wording): FastifyReply {
  if (holder === undefined)
    return reply
      .code(401)
      .header('www-authenticate', 'Bearer')
      .send(worded('denied', `This needs the token of ${NAMES[role]}.`));
  return reply.code(403).send(worded('forbidden', `This needs ${NAMES[role]}; ${holder.name} is a ${holder.role}.`));
}

const NAMES: Readonly<Record<Role, string>> = {
  machine: 'a machine',
  viewer: 'an operator or viewer',
  operator: 'an operator',
};
