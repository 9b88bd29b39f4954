/** Fields shared by several wire documents. */

import { MACHINE_PATTERN, type MachineId, VERSION_PATTERN, type Version } from '../model.ts';
import { saying, text, upTo, words } from './shape.ts';

export const channelName = upTo(64, text(/^[a-z0-9][a-z0-9-]*$/));
export const machineId = saying(
  'derived from /etc/machine-id without revealing it',
  upTo(32, text<MachineId>(MACHINE_PATTERN)),
);
export const version = upTo(64, text<Version>(VERSION_PATTERN));
export const hex = upTo(32, text(/^[0-9a-f]{32}$/));
export const line = upTo(500, words());
export const moment = saying(
  'UTC',
  upTo(
    24,
    text(
      /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,3})?Z$/,
      'a time in UTC like 2030-01-31T00:00:00Z',
    ),
  ),
);
