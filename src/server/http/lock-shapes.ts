/** The locks on rebooting, as schemas: FleetLock's requests, and what operators see and change. */

import { HOLDER_ID, LONGEST_ID, MOST_HOLDERS } from '../../reboot/gates/locks/semaphore-document.ts';
import { moment, SHOWN } from './fleet-shapes.ts';
import {
  always,
  flag,
  list,
  loose,
  named,
  object,
  oneOf,
  type Shape,
  saying,
  sentence,
  text,
  whole,
} from './shapes.ts';

const host = saying(
  'text of one line, without blanks at its ends or signs that cannot be seen; case counts',
  text(HOLDER_ID, LONGEST_ID),
);
export const lockGroup: Shape = { minLength: 1, ...text(/^[a-zA-Z0-9.-]+$/, 64) };

/** Later versions of FleetLock may say more. */
export const ASKED = named('FleetLockRequest', object({ client_params: object({ id: host, group: lockGroup }) }));
/** The others that come with a request are left as they are. */
export const ASKED_WITH: Shape = {
  type: 'object',
  properties: { 'fleet-lock-protocol': saying('what is asked for is meant', { const: 'true' }), ...SHOWN },
  required: ['fleet-lock-protocol'],
};
export const GRANTED: Shape = saying('granted, or given back', { type: 'object' });
export const FLEETLOCK_REFUSAL = named(
  'FleetLockRefusal',
  object({ kind: saying('a word for programs', sentence), value: saying('a sentence for people', sentence) }),
);

const holder = object({
  id: host,
  name: sentence,
  hardware: sentence,
  phase: oneOf('waiting', 'rebooting'),
  since: moment,
  why: sentence,
  deadlineSeconds: whole(1),
  late: saying('it should be back by now', flag),
});
const failure = object({ id: host, name: sentence, since: moment, why: sentence });
const lock = {
  group: lockGroup,
  max: saying('how many may reboot at once', whole(0, MOST_HOLDERS)),
  maxFailures: saying('so many late hosts are put up with', whole(0, MOST_HOLDERS)),
  free: whole(0, MOST_HOLDERS),
  holders: list(holder),
  failures: list(failure),
};

export const LOCK = named('Lock', object({ schema: always(1), ...lock }));
export const LOCKS = object({ schema: always(1), locks: list(object(lock)), next: lockGroup }, ['schema', 'locks']);
export const NAMED = object({ group: lockGroup });
export const HELD = object({ group: lockGroup, holder: host });
export const LOCKS_PAGE = loose({
  limit: { ...whole(1, 1000), default: 100 },
  after: saying('the `next` of the page before', lockGroup),
});
export const SIZE = object({ max: whole(0, MOST_HOLDERS), maxFailures: whole(0, MOST_HOLDERS) }, ['max']);
