/** FleetLock for Zincati and our agents, and the operators' view of the locks. */

import type { FastifyInstance } from 'fastify';
import type { Checked } from '../../../formats/shape.ts';
import type { LockRefusal } from '../../../reboot/gates/locks/semaphore.ts';
import type { RebootLocks } from '../../fleet/reboot-locks.ts';
import { json, refused } from '../answers.ts';
import { entryOf } from '../entries.ts';
import {
  ASKED,
  ASKED_WITH,
  FLEETLOCK_REFUSAL,
  GRANTED,
  HELD,
  LOCK,
  LOCKS,
  LOCKS_PAGE,
  type LockShown,
  type LocksShown,
  NAMED,
  SIZE,
} from '../lock-shapes.ts';
import { plain } from '../refusals.ts';
import { shownIn } from './fleet.ts';

export const lockRoutes = { hosts, operators };

type Asked = { Body: Checked<typeof ASKED> };

/** The two FleetLock requests; every answer but 200 has `kind` and `value`. */
function hosts(app: FastifyInstance, locks: RebootLocks, now: () => Date): void {
  // Zincati sends JSON without a content type.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, app.getDefaultJsonParser('remove', 'remove'));
  app.addHook('preValidation', async (request, reply) => {
    if (request.headers['fleet-lock-protocol'] === 'true') return;
    await reply.code(400).send({ kind: 'missing_header', value: 'The header fleet-lock-protocol: true is required.' });
  });
  app.post<Asked>(
    '/v1/pre-reboot',
    { schema: ASKS.take, bodyLimit: MOST_BYTES },
    async ({ body: { client_params: who }, headers }, reply) => {
      const refusal = await locks.take(who.group, who.id, now(), shownIn(headers));
      return refusal ? reply.code(409).send({ kind: LOCK_KINDS[refusal.code], value: refusal.reason }) : {};
    },
  );
  app.post<Asked>(
    '/v1/steady-state',
    { schema: ASKS.giveBack, bodyLimit: MOST_BYTES },
    async ({ body: { client_params: who }, headers }) => {
      await locks.giveBack(who.group, who.id, shownIn(headers));
      return {};
    },
  );
}

/** List the locks, show one, resize it, free a place. */
function operators(app: FastifyInstance, locks: RebootLocks, now: () => Date): void {
  app.get<{ Querystring: Checked<typeof LOCKS_PAGE> }>(
    '/v1/locks',
    { schema: ASKS.all },
    async ({ query: { limit = 100, after } }): Promise<LocksShown> => ({
      schema: 1,
      ...(await locks.all(limit, now(), after)),
    }),
  );
  app.get<Named>(
    '/v1/locks/:group',
    { schema: ASKS.one },
    async ({ params: { group } }): Promise<LockShown> => ({
      schema: 1,
      ...(await locks.show(group, now())),
    }),
  );
  app.put<Named & { Body: Checked<typeof SIZE> }>(
    '/v1/locks/:group',
    { schema: ASKS.size },
    async (request): Promise<LockShown> => {
      const { group } = request.params;
      const { max, maxFailures } = request.body;
      const about = `${group}: ${max} at once${maxFailures === undefined ? '' : `, ${maxFailures} failures`}`;
      await locks.setMax(group, max, maxFailures, entryOf(request, now(), 'lock-resized', { about }));
      return { schema: 1, ...(await locks.show(group, now())) };
    },
  );
  app.delete<{ Params: Checked<typeof HELD> }>(
    '/v1/locks/:group/:holder',
    { schema: ASKS.free },
    async (request, reply) => {
      const { group, holder } = request.params;
      const entry = entryOf(request, now(), 'lock-freed', { about: `${holder} in ${group}` });
      if (!(await locks.release(group, holder, entry)))
        return reply.code(404).send(plain('lock-not-held', `${holder} does not hold this lock.`));
      return { schema: 1, ...(await locks.show(group, now())) };
    },
  );
}

/** The FleetLock `kind` of each refusal. */
export const LOCK_KINDS: Readonly<Record<LockRefusal['code'], string>> = {
  'lock-full': 'failed_lock_semaphore_full',
  'lock-failures': 'failed_lock_failures',
  'lock-turn': 'failed_lock_turn',
};

/** The limit of a FleetLock request's body. */
const MOST_BYTES = 4096;

type Named = { Params: Checked<typeof NAMED> };

const locked = (description: string) => json(description, LOCK);
const taken = {
  tags: ['hosts'],
  headers: ASKED_WITH,
  body: ASKED.schema,
  refusal: FLEETLOCK_REFUSAL,
  description:
    'FleetLock as implemented by Zincati: requires the header `fleet-lock-protocol: true`; the body is parsed as JSON whatever its content type.',
};
const strange = json(
  'The machine’s id is bound to another secret, or the token does not permit this',
  FLEETLOCK_REFUSAL,
);
const ASKS = {
  take: {
    ...taken,
    summary: 'Takes the reboot lock for a host; granted again to a host that already holds it',
    response: {
      200: json('It may reboot', GRANTED),
      403: strange,
      409: json('It may not, with the reason; try again later', FLEETLOCK_REFUSAL),
    },
  },
  giveBack: {
    ...taken,
    summary: 'Releases the lock of a host; a no-op if it does not hold it',
    response: {
      200: json('The host does not hold the lock', GRANTED),
      403: strange,
      409: json('Another machine with the same id holds the lock', FLEETLOCK_REFUSAL),
    },
  },
  all: {
    summary: 'Lists the locks, a page at a time, by group',
    tags: ['operators'],
    querystring: LOCKS_PAGE.schema,
    response: { 200: json('A page; the last one has no `next`', LOCKS) },
  },
  one: {
    summary: 'Shows the lock of a group: holders, since when and why',
    tags: ['operators'],
    params: NAMED.schema,
    response: { 200: locked('The lock; the defaults for an unused group') },
  },
  size: {
    summary: 'Sets how many hosts of a group may reboot at the same time',
    tags: ['operators'],
    params: NAMED.schema,
    body: SIZE.schema,
    response: { 200: locked('The lock with its new size') },
  },
  free: {
    summary: 'Frees the lock of a host that will not come back',
    tags: ['operators'],
    params: HELD.schema,
    response: { 200: locked('The lock without this host'), 404: refused('The host does not hold the lock') },
  },
};
