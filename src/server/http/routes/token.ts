/** Operators' management of the fleet's tokens. */

import type { FastifyInstance } from 'fastify';
import { type Checked, list, literal, named, object, words } from '../../../formats/shape.ts';
import { moment } from '../../../formats/wire-words.ts';
import type { Access } from '../../access/access.ts';
import { HOLDER, MOST_TOKENS, type TokenHolder } from '../../access/tokens.ts';
import { json, refused } from '../answers.ts';
import { entryOf } from '../entries.ts';
import { plain } from '../refusals.ts';

export function tokenRoutes(app: FastifyInstance, access: Access, now: () => Date): void {
  app.get(
    '/v1/tokens',
    { schema: ASKS.all },
    async (): Promise<Checked<typeof TOKENS>> => ({ schema: 1, tokens: await access.all() }),
  );
  app.post<{ Body: TokenHolder }>('/v1/tokens', { schema: ASKS.add }, async (request, reply) => {
    const { name, role } = request.body;
    const added = await access.add(
      { name, role },
      entryOf(request, now(), 'token-added', { about: `${name}, ${role}` }),
    );
    if ('refused' in added) return reply.code(409).send(plain(added.refused));
    return reply.code(201).send({ schema: 1, name, role, token: added.token });
  });
  app.delete<{ Params: { name: string } }>('/v1/tokens/:name', { schema: ASKS.revoke }, async (request, reply) => {
    const { name } = request.params;
    const refusal = await access.revoke(name, entryOf(request, now(), 'token-revoked', { about: name }));
    if (refusal) return reply.code(refusal === 'token-unknown' ? 404 : 409).send(plain(refusal));
    return { schema: 1, tokens: await access.all() };
  });
}

const TOKENS = named(
  'Tokens',
  object({ schema: literal(1), tokens: list(object({ ...HOLDER, added: moment }), MOST_TOKENS) }),
);
const ASKS = {
  all: {
    summary: 'Lists tokens by name and role; never the tokens themselves',
    tags: ['operators'],
    response: { 200: json('All tokens of the store', TOKENS) },
  },
  add: {
    summary: 'Creates a token, which only this answer contains',
    tags: ['operators'],
    body: object(HOLDER).schema,
    response: {
      201: json('The token', object({ schema: literal(1), ...HOLDER, token: words() })),
      409: refused('The name is taken, or there are too many tokens'),
    },
  },
  revoke: {
    summary: 'Revokes a token; other servers follow within five seconds',
    tags: ['operators'],
    params: object({ name: HOLDER.name }).schema,
    response: {
      200: json('The remaining tokens', TOKENS),
      404: refused('No token of this name'),
      409: refused('It is the last operator token'),
    },
  },
};
