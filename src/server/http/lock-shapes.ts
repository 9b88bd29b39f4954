/** Schemas of the reboot locks: FleetLock requests, and the operators' view. */

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
  'one line of text without leading or trailing blanks or invisible characters; case-sensitive',
  text(HOLDER_ID, LONGEST_ID),
);
export const lockGroup: Shape = { minLength: 1, ...text(/^[a-zA-Z0-9.-]+$/, 64) };

/** Further fields are allowed: later versions of FleetLock may add some. */
export const ASKED = named('FleetLockRequest', object({ client_params: object({ id: host, group: lockGroup }) }));
/** Other headers are allowed. */
export const ASKED_WITH: Shape = {
  type: 'object',
  properties: { 'fleet-lock-protocol': saying('required by the FleetLock protocol', { const: 'true' }), ...SHOWN },
  required: ['fleet-lock-protocol'],
};
export const GRANTED: Shape = saying('granted or released', { type: 'object' });
export const FLEETLOCK_REFUSAL = named(
  'FleetLockRefusal',
  object({ kind: saying('a stable code for programs', sentence), value: saying('a sentence for people', sentence) }),
);

const holder = object({
  id: host,
  name: sentence,
  hardware: sentence,
  phase: oneOf('waiting', 'rebooting'),
  since: moment,
  why: sentence,
  deadlineSeconds: whole(1),
  late: saying('whether it is past its deadline', flag),
});
const failure = object({ id: host, name: sentence, since: moment, why: sentence });
const lock = {
  group: lockGroup,
  max: saying('the number of hosts that may reboot at the same time', whole(0, MOST_HOLDERS)),
  maxFailures: saying('the number of overdue or failed hosts tolerated', whole(0, MOST_HOLDERS)),
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
  after: saying('`next` of the previous page', lockGroup),
});
export const SIZE = object({ max: whole(0, MOST_HOLDERS), maxFailures: whole(0, MOST_HOLDERS) }, ['max']);
