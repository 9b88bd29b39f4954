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

/** The host's description of itself, for people only: it may be false, so nothing is decided by it. */
const HOST = object(
  {
    name: optional(line),
    address: optional(saying('the local address from which it reaches the server', line)),
    os: optional(saying('the name in os-release', line)),
    kernel: optional(line),
    architecture: optional(line),
  },
  'ignore',
);
export type HostFacts = Checked<typeof HOST>;

/** One boot of one machine. `hardware` is missing if it is not known. */
const BOOT = object(
  {
    id: saying('the kernel’s boot id', hex),
    seconds: optional(saying('time since boot', integer(0))),
    hardware: optional(saying('a digest of the firmware’s identity of the machine', hex)),
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
    fault: optional(saying('the cause of a failure', literal(...FAULTS))),
  },
  'ignore',
);

/** The part of every check-in that the server stores. */
export const SAID = {
  schema: literal(1),
  machine: machineId,
  group: saying('the group for rollouts and the reboot lock', upTo(64, text(GROUP_PATTERN))),
  product: upTo(32, text<Product>(PRODUCT_PATTERN)),
  channel: saying('the channel it follows', channelName),
  agent: saying('the version of the agent', line),
  running: saying('the running release', RUNNING),
  confirmed: saying('whether the running release is confirmed', flag),
  state: literal(...STATE_KINDS),
  since: saying('the start of the current state', moment),
  host: optional(saying('information for people about the host', HOST)),
  wants: optional(saying('the release it would start to install now if permitted', version)),
  refuses: optional(saying('the offered release that it refuses because it failed there before', version)),
  waitingFor: optional(saying('the reason it waits, as text', line)),
  outcome: optional(saying('the outcome of the last attempt; `at` identifies it', OUTCOME)),
};

export const CHECK_IN = named(
  'CheckIn',
  object({ ...SAID, boot: optional(saying('distinguishes machines with the same id', BOOT)) }, 'ignore'),
);
/** A host's report to the fleet server: its identity, its release and state, the update it wants, and the outcome of the last attempt. */
export type CheckIn = Checked<typeof CHECK_IN>;

/** The reason why a host may not start. */
export const HOLD = {
  code: words(500),
  reason: words(500),
  until: optional(saying('the earliest time to ask again', moment)),
};

const GO = object(
  {
    schema: literal(1),
    go: literal(true),
    readmitted: optional(saying('an operator readmitted it: retry the refused release', literal(true))),
  },
  'ignore',
);
const NO_GO = object({ schema: literal(1), go: literal(false), ...HOLD }, 'ignore');

export const CHECK_IN_ANSWER = named('CheckInAnswer', oneOf('go', { true: GO, false: NO_GO }));
/** The server never names a release to install. */
export type CheckInAnswer = Checked<typeof CHECK_IN_ANSWER>;
