/** Authorizes requests by token and role, and applies the rate limits. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { UpdateError } from '../../errors.ts';
import type { Access } from '../access/access.ts';
import { type Limits, NO_LIMITS } from '../access/rate-limits.ts';
import { type AccessRole, mayAct, type TokenHolder, tokenIn } from '../access/tokens.ts';
import type { Wording } from './refusals.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The holder of the request's token. */
    holder?: TokenHolder | undefined;
  }
}

export type Guarded = Readonly<{ access: Access; limits?: Limits }>;

/** Requires for every route of `scope` the role that `roleFor` returns for its method. */
export function guard(
  scope: FastifyInstance,
  { access, limits = NO_LIMITS }: Guarded,
  roleFor: (method: string) => AccessRole,
  worded: Wording,
): void {
  scope.addHook('onRoute', (route) => {
    route.schema = { ...route.schema, security: [{ [roleFor([route.method].flat()[0] ?? '')]: [] }] };
  });
  scope.addHook('onRequest', async (request, reply) => {
    const role = roleFor(request.method);
    if (role === 'machine') enforceLimit(limits.host(request.ip));
    if (role === 'machine' && access.isOpenToHosts) return;
    request.holder = await access.holderOf(tokenIn(request.headers.authorization));
    countHolder(request, limits);
    if (!mayAct(request.holder, role)) await refuse(request, reply, role, worded);
  });
}

/** A valid token has a rate limit of its own, so wrong tokens from the same address never lock its holder out. */
export function countHolder({ holder, ip }: FastifyRequest, limits: Limits): void {
  if (holder === undefined) enforceLimit(limits.stranger(ip));
  else if (holder.role !== 'machine') enforceLimit(limits.holder(holder.name));
}

/** Throws `too-many-requests` if the caller has to wait. */
export function enforceLimit(waitMs: number): void {
  if (waitMs === 0) return;
  const seconds = Math.ceil(waitMs / 1000);
  throw new UpdateError('too-many-requests', `Too many requests: try again in ${seconds} s.`, {
    details: { retryAfterMs: waitMs },
  });
}

function refuse({ holder }: FastifyRequest, reply: FastifyReply, role: AccessRole, worded: Wording): FastifyReply {
  if (holder === undefined)
    return reply
      .code(401)
      .header('www-authenticate', 'Bearer')
      .send(worded('denied', `This requires the token of ${NAMES[role]}.`));
  return reply.code(403).send(worded('forbidden', `This requires ${NAMES[role]}; ${holder.name} is a ${holder.role}.`));
}

const NAMES: Readonly<Record<AccessRole, string>> = {
  machine: 'a machine',
  viewer: 'an operator or viewer',
  operator: 'an operator',
};
