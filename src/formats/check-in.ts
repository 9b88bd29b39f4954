/** The check-in of a host and the server's answer: one description gives their types, their checks and their JSON Schema. */

import { FAULTS, GROUP_PATTERN, PRODUCT_PATTERN, type Product, STATE_KINDS } from '../model.ts';
import {
  type Checked,
  flag,
  integer,
  literal,
  named,
  object,
  oneOf,
  optional,
  saying,
  text,
  upTo,
  words,
} from './shape.ts';
import { channelName, hex, line, machineId, moment, version } from './wire-words.ts';

/** Where a host can be found and what it is, in its own words: for people, who may be lied to, and never for decisions. */
const HOST = object(
  {
    name: optional(line),
    address: optional(saying('from which it reaches the server', line)),
    os: optional(saying('as os-release calls it', line)),
    kernel: optional(line),
    architecture: optional(line),
  },
  'ignore',
);
export type HostFacts = Checked<typeof HOST>;

/** One boot of one machine. `hardware` is missing where it cannot be told. */
const BOOT = object(
  {
    id: saying('of the kernel', hex),
    seconds: optional(saying('for how long it has run', integer(0))),
    hardware: optional(saying('a digest of what the firmware calls the machine', hex)),
  },
  'ignore',
);
export type BootFacts = Checked<typeof BOOT>;

const RUNNING = object({ version, counter: optional(integer(0)) }, 'ignore');

const OUTCOME = object(
  {
    at: moment,
    result: literal('updated', 'rolled-back', 'failed', 'withdrawn'),
    version,
    code: optional(line),
    reason: optional(line),
    fault: optional(saying('whose fault it was that it failed, where it did', literal(...FAULTS))),
  },
  'ignore',
);

/** What a host says of itself with every check-in, and the server keeps. */
export const SAID = {
  schema: literal(1),
  machine: machineId,
  group: saying('what a rollout and the lock on rebooting go by', upTo(64, text(GROUP_PATTERN))),
  product: upTo(32, text<Product>(PRODUCT_PATTERN)),
  channel: saying('the channel that it follows', channelName),
  agent: saying('the version of the agent', line),
  running: saying('what runs now', RUNNING),
  confirmed: saying('what runs is proven', flag),
  state: literal(...STATE_KINDS),
  since: saying('how long it has been in this state', moment),
  host: optional(saying('where to find it, for people', HOST)),
  wants: optional(saying('the release that it would begin to install now, if nobody objects', version)),
  refuses: optional(saying('the release that it is offered and will not begin, because it has failed there', version)),
  waitingFor: optional(saying('in words', line)),
  outcome: optional(saying('how the last attempt ended; `at` tells one from another', OUTCOME)),
};

export const CHECK_IN = named(
  'CheckIn',
  object({ ...SAID, boot: optional(saying('tells it from another with the same id', BOOT)) }, 'ignore'),
);
/** What a host tells the fleet server: who and where it is, what it runs, what it is about to do, and how the last attempt ended. */
export type CheckIn = Checked<typeof CHECK_IN>;

/** Why a host is not to begin. */
export const HOLD = {
  code: words(500),
  reason: words(500),
  until: optional(saying('ask again at the earliest', moment)),
};

const GO = object(
  {
    schema: literal(1),
    go: literal(true),
    readmitted: optional(saying('an operator wants it to try once more what it refuses', literal(true))),
  },
  'ignore',
);
const NO_GO = object({ schema: literal(1), go: literal(false), ...HOLD }, 'ignore');

export const CHECK_IN_ANSWER = named('CheckInAnswer', oneOf('go', { true: GO, false: NO_GO }));
/** A server never names what to install. */
export type CheckInAnswer = Checked<typeof CHECK_IN_ANSWER>;
