/** The reboot locks: FleetLock requests, and the operators’ view. */

import {
  byDefault,
  type Checked,
  filled,
  flag,
  integer,
  type JsonSchema,
  list,
  literal,
  named,
  object,
  optional,
  saying,
  text,
  upTo,
  words,
} from '../../formats/shape.ts';
import { moment } from '../../formats/wire-words.ts';
import { HOLDER_ID, LONGEST_ID, MOST_HOLDERS } from '../../reboot/gates/locks/semaphore-document.ts';
import { SHOWN } from './fleet-shapes.ts';

const sentence = words();
const host = saying(
  'one line of text without leading or trailing blanks or invisible characters; case-sensitive',
  upTo(LONGEST_ID, text(HOLDER_ID)),
);
export const lockGroup = filled(upTo(64, text(/^[a-zA-Z0-9.-]+$/)));

/** Further fields are allowed: later versions of FleetLock may add some. */
export const ASKED = named(
  'FleetLockRequest',
  object({ client_params: object({ id: host, group: lockGroup }, 'ignore') }, 'ignore'),
);
/** Other headers are allowed. */
export const ASKED_WITH: JsonSchema = {
  type: 'object',
  properties: { 'fleet-lock-protocol': { const: 'true', description: 'required by the FleetLock protocol' }, ...SHOWN },
  required: ['fleet-lock-protocol'],
};
export const GRANTED = { schema: { type: 'object', description: 'granted or released' } };
export const FLEETLOCK_REFUSAL = named(
  'FleetLockRefusal',
  object({ kind: saying('a stable code for programs', sentence), value: saying('a sentence for people', sentence) }),
);

const size = integer(0, MOST_HOLDERS);
const holder = object({
  id: host,
  name: sentence,
  hardware: sentence,
  phase: literal('waiting', 'rebooting'),
  since: moment,
  why: sentence,
  deadlineSeconds: integer(1),
  late: saying('whether it is past its deadline', flag),
});
const failure = object({ id: host, name: sentence, since: moment, why: sentence });
const lock = {
  group: lockGroup,
  max: saying('the number of hosts that may reboot at the same time', size),
  maxFailures: saying('the number of overdue or failed hosts tolerated', size),
  free: size,
  holders: list(holder, MOST_HOLDERS),
  failures: list(failure, MOST_HOLDERS),
};

export const LOCK = named('Lock', object({ schema: literal(1), ...lock }));
export type LockShown = Checked<typeof LOCK>;
export const LOCKS = object({ schema: literal(1), locks: list(object(lock), 1000), next: optional(lockGroup) });
export type LocksShown = Checked<typeof LOCKS>;
export const NAMED = object({ group: lockGroup });
export const HELD = object({ group: lockGroup, holder: host });
export const LOCKS_PAGE = object({
  limit: byDefault(100, integer(1, 1000)),
  after: optional(saying('`next` of the previous page', lockGroup)),
});
export const SIZE = object({ max: size, maxFailures: optional(size) });
