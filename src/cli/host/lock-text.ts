/** A lock that still has to be released, as people read it. Pure. */

import type { LockOwed } from '../../protocol.ts';
import { redactUrl } from '../../system/http/shown-address.ts';

export const owedText = ({ place, group, message }: LockOwed): string =>
  `the reboot lock of group ${group} at ${place.split(', ').map(redactUrl).join(', ')} could not be released: ${message}`;
