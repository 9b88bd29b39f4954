/** FleetLock, as Zincati and our agents speak it, and what operators may see and change of the locks. */

import type { FastifyInstance } from 'fastify';
import type { Refusal } from '../../reboot/gates/locks/semaphore.ts';
import { MOST_HOLDERS } from '../../reboot/gates/locks/semaphore-document.ts';
import type { RebootLocks } from '../reboot-locks.ts';

export const lockRoutes = { hosts, operators };

type Asked = { Body: { client_params: { id: string; group: string } } };

/** Both verbs; every answer but 200 says why as `kind` and `value`. */
function hosts(app: FastifyInstance, locks: RebootLocks, now: () => Date): void {
  // Zincati sends JSON and does not say so.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string', bodyLimit: 4096 }, app.getDefaultJsonParser('error', 'error'));
  app.addHook('preValidation', async (request, reply) => {
    if (request.headers['fleet-lock-protocol'] === 'true') return;
    await reply
      .code(400)
      .send({ kind: 'missing_header', value: 'The header fleet-lock-protocol must be there and be “true”.' });
  });
  app.post<Asked>('/v1/pre-reboot', { schema: { body: ASKED } }, async ({ body: { client_params: who } }, reply) => {
    const refusal = await locks.take(who.group, who.id, now());
    return refusal ? reply.code(409).send({ kind: KINDS[refusal.code], value: refusal.reason }) : {};
  });
  app.post<Asked>('/v1/steady-state', { schema: { body: ASKED } }, async ({ body: { client_params: who } }) => {
    await locks.giveBack(who.group, who.id);
    return {};
  });
}

/** A page of the locks, one lock, its size, and freeing what a host holds. */
function operators(app: FastifyInstance, locks: RebootLocks, now: () => Date): void {
  app.get<{ Querystring: { limit?: number; after?: string } }>(
    '/v1/locks',
    { schema: { querystring: PAGE } },
    async ({ query: { limit = 100, after } }) => ({ schema: 1, ...(await locks.all(limit, now(), after)) }),
  );
  app.get<Named>('/v1/locks/:group', { schema: { params: NAMED } }, async ({ params: { group } }) => ({
    schema: 1,
    ...(await locks.show(group, now())),
  }));
  app.put<Named & { Body: { max: number; maxFailures?: number } }>(
    '/v1/locks/:group',
    { schema: { params: NAMED, body: SIZE } },
    async ({ params: { group }, body: { max, maxFailures } }) => {
      await locks.setMax(group, max, maxFailures);
      return { schema: 1, ...(await locks.show(group, now())) };
    },
  );
  app.delete<{ Params: { group: string; holder: string } }>(
    '/v1/locks/:group/:holder',
    { schema: { params: HELD } },
    async ({ params: { group, holder } }, reply) => {
      if (!(await locks.release(group, holder)))
        return reply.code(404).send({ code: 'lock-not-held', message: `${holder} does not hold it.` });
      return { schema: 1, ...(await locks.show(group, now())) };
    },
  );
}

const KINDS: Readonly<Record<Refusal['code'], string>> = {
  'lock-full': 'failed_lock_semaphore_full',
  'lock-failures': 'failed_lock_failures',
  'lock-turn': 'failed_lock_turn',
};

const text = (pattern: string, maxLength: number) => ({ type: 'string', pattern, minLength: 1, maxLength });
const id = text('^[0-9a-f]+$', 64);
const group = text('^[a-zA-Z0-9.-]+$', 64);
const whole = (minimum: number, maximum: number) => ({ type: 'integer', minimum, maximum });
const strict = (properties: Readonly<Record<string, object>>, required: readonly string[]) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
});
// Later versions of the protocol may say more.
const ASKED = {
  type: 'object',
  required: ['client_params'],
  properties: { client_params: { type: 'object', required: ['id', 'group'], properties: { id, group } } },
};
type Named = { Params: { group: string } };
const NAMED = strict({ group }, ['group']);
const HELD = strict({ group, holder: id }, ['group', 'holder']);
const PAGE = strict({ limit: whole(1, 1000), after: group }, []);
const SIZE = strict({ max: whole(0, MOST_HOLDERS), maxFailures: whole(0, MOST_HOLDERS) }, ['max']);
