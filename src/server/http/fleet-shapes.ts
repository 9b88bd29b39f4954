/** What hosts say of themselves, and what operators are shown of it, as schemas. */

import { FAULTS, MACHINE_PATTERN, PRODUCT_PATTERN, VERSION_PATTERN } from '../../model.ts';
import { HARDWARE_HEADER, MACHINE_HEADER, SECRET_HEADER, SECRET_PATTERN } from '../../protocol.ts';
import { GROUP_PATTERN } from '../../rollout/document.ts';
import { STATES } from '../pages/machines.ts';
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

const channelName = text(/^[a-z0-9][a-z0-9-]*$/, 64);
/** The channel of an address. */
export const CHANNEL = object({ channel: channelName });
export const machineId = saying('made from /etc/machine-id, which it does not give away', text(MACHINE_PATTERN, 32));
export const moment = saying(
  'UTC',
  text(/^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,3})?Z$/, 24),
);
const version = text(VERSION_PATTERN, 64);
const line: Shape = { type: 'string', maxLength: 500 };
const RESULTS = ['updated', 'rolled-back', 'failed', 'withdrawn'] as const;

const said = {
  schema: always(1),
  machine: machineId,
  group: saying('what a rollout and the lock on rebooting go by', text(GROUP_PATTERN, 64)),
  product: text(PRODUCT_PATTERN, 32),
  channel: saying('the channel that it follows', channelName),
  agent: saying('the version of the agent', line),
  running: saying('what runs now', object({ version, counter: whole(0) }, ['version'])),
  confirmed: saying('what runs is proven', flag),
  state: oneOf(...STATES),
  since: saying('how long it has been in this state', moment),
};
const HOST = loose({
  name: line,
  address: saying('from which it reaches the server', line),
  os: saying('as os-release calls it', line),
  kernel: line,
  architecture: line,
});
const hex = text(/^[0-9a-f]{32}$/, 32);
const BOOT = object(
  {
    id: saying('of the kernel', hex),
    seconds: saying('for how long it has run', whole(0)),
    hardware: saying('a digest of what the firmware calls the machine', hex),
  },
  ['id'],
);
const told = { host: saying('where to find it, for people', HOST) };
const saidSometimes = {
  wants: saying('the release that it would begin to install now, if nobody objects', version),
  refuses: saying('the release that it is offered and will not begin, because it has failed there', version),
  waitingFor: saying('in words', line),
  outcome: saying(
    'how the last attempt ended; `at` tells one from another',
    object(
      {
        ...{ at: moment, result: oneOf(...RESULTS), version, code: line, reason: line },
        fault: saying('whose fault it was that it failed, where it did', oneOf(...FAULTS)),
      },
      ['at', 'result', 'version'],
    ),
  ),
};

/** What hosts show of themselves with every request; older ones show nothing. */
export const SHOWN: Readonly<Record<string, Shape>> = {
  [SECRET_HEADER]: saying(
    'what the machine made itself: the first that is shown for its id counts',
    text(SECRET_PATTERN, 43),
  ),
  [MACHINE_HEADER]: saying('its id', machineId),
  [HARDWARE_HEADER]: saying('a digest of what its firmware calls it', hex),
};
export const SHOWN_WITH: Shape = { type: 'object', properties: SHOWN };

export const CHECK_IN = named(
  'CheckIn',
  object(
    { ...said, ...told, ...saidSometimes, boot: saying('tells it from another with the same id', BOOT) },
    Object.keys(said),
  ),
);

const hold = { code: sentence, reason: sentence, until: saying('ask again at the earliest', moment) };

export const CHECK_IN_ANSWER: Shape = named('CheckInAnswer', {
  oneOf: [
    object(
      {
        ...{ schema: always(1), go: always(true) },
        readmitted: saying('an operator wants it to try once more what it refuses', always(true)),
      },
      ['schema', 'go'],
    ),
    object({ schema: always(1), go: always(false), ...hold }, ['schema', 'go', 'code', 'reason']),
  ],
});

const stranger = object({ at: moment, from: sentence, name: sentence }, ['at']);
const cloned = object({ since: moment, at: moment, other: loose({ name: sentence, address: sentence }) });
const event = object({ at: moment, what: sentence, version: sentence, reason: sentence }, ['at', 'what', 'version']);
const seen = { firstSeen: moment, lastSeen: moment, events: saying('the newest last', list(event)) };

/** What the server remembers of a machine. */
export const MACHINE = named(
  'Machine',
  object(
    {
      ...said,
      ...told,
      ...saidSometimes,
      ...seen,
      from: saying('the address that it asks from, where that is another', sentence),
      bound: saying('its id is bound to a secret', flag),
      cloned: saying('two machines have its id; it was seen last `at` that time', cloned),
      stranger: saying('who was refused last, since he did not show that secret', stranger),
      hold: saying('what it was told last, when it was not to go', object(hold, ['code', 'reason'])),
    },
    [...Object.keys(said), ...Object.keys(seen)],
  ),
);

export const MACHINES = object(
  { schema: always(1), documents: list(object({ id: machineId, document: MACHINE })), next: machineId },
  ['schema', 'documents'],
);

/** By what machines are looked for; with nothing of it, all are meant. */
export const SEARCH = {
  name: saying('a part of what it calls itself, or of its address', { type: 'string', maxLength: 100 }),
  id: saying('how it begins', text(/^[0-9a-fA-F]*$/, 32)),
  version: text(/^[0-9A-Za-z.~^-]*$/, 64),
  group: text(/^[A-Za-z0-9.-]*$/, 64),
};

export const MACHINES_PAGE = loose({
  ...SEARCH,
  state: oneOf(...STATES),
  limit: { ...whole(1, 1000), default: 100 },
  after: saying('the `next` of the page before', machineId),
});
