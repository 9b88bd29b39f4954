/** What operators are shown of machines, and how they look for them, as schemas. */

import { HOLD, SAID } from '../../formats/check-in.ts';
import {
  byDefault,
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
import { channelName, hex, machineId as machine, moment as utc } from '../../formats/wire-words.ts';
import { STATE_KINDS } from '../../model.ts';
import { HARDWARE_HEADER, MACHINE_HEADER, SECRET_HEADER, SECRET_PATTERN } from '../../protocol.ts';

/** The channel of an address. */
export const CHANNEL = object({ channel: channelName }).schema;
export const machineId = machine.schema;
export const moment = utc.schema;

/** What hosts show of themselves with every request; older ones show nothing. */
export const SHOWN: Readonly<Record<string, JsonSchema>> = {
  [SECRET_HEADER]: saying(
    'what the machine made itself: the first that is shown for its id counts',
    upTo(43, text(SECRET_PATTERN)),
  ).schema,
  [MACHINE_HEADER]: saying('its id', machine).schema,
  [HARDWARE_HEADER]: saying('a digest of what its firmware calls it', hex).schema,
};
export const SHOWN_WITH: JsonSchema = { type: 'object', properties: SHOWN };

const sentence = words();
const stranger = object({ at: utc, from: optional(sentence), name: optional(sentence) });
const other = object({ name: optional(sentence), address: optional(sentence) });
const event = object({ at: utc, what: sentence, version: sentence, reason: optional(sentence) });

/** What the server remembers of a machine. */
const machineShown = named(
  'Machine',
  object({
    ...SAID,
    firstSeen: utc,
    lastSeen: utc,
    events: saying('the newest last', list(event, 1000)),
    from: optional(saying('the address that it asks from, where that is another', sentence)),
    bound: optional(saying('its id is bound to a secret', flag)),
    cloned: optional(
      saying('two machines have its id; it was seen last `at` that time', object({ since: utc, at: utc, other })),
    ),
    stranger: optional(saying('who was refused last, since he did not show that secret', stranger)),
    hold: optional(saying('what it was told last, when it was not to go', object(HOLD))),
  }),
);
export const MACHINE = machineShown.schema;

export const MACHINES = object({
  schema: literal(1),
  documents: list(object({ id: machine, document: machineShown }), 1000),
  next: optional(machine),
}).schema;

/** By what machines are looked for; with nothing of it, all are meant. */
export const SEARCH = {
  name: optional(saying('a part of what it calls itself, or of its address', upTo(100, sentence))),
  id: optional(saying('how it begins', upTo(32, text(/^[0-9a-fA-F]*$/)))),
  version: optional(upTo(64, text(/^[0-9A-Za-z.~^-]*$/))),
  group: optional(upTo(64, text(/^[A-Za-z0-9.-]*$/))),
};

export const MACHINES_PAGE = object({
  ...SEARCH,
  state: optional(literal(...STATE_KINDS)),
  limit: byDefault(100, integer(1, 1000)),
  after: optional(saying('the `next` of the page before', machine)),
}).schema;
