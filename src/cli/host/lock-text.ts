/** A lock that is owed, as people read it. Pure. */

import type { LockOwed } from '../../protocol.ts';
import { redactUrl } from '../../system/http/shown-address.ts';

export const owedText = ({ place, group, message }: LockOwed): string =>
  `the lock of the group ${group} at ${place.split(', ').map(redactUrl).join(', ')} could not be given back: ${message}`;
