/** A document as it was kept, read again. Pure. */

import { UpdateError } from '../errors.ts';
import type { Json } from './store.ts';

/** `name` ends in its kind and id. One that cannot be read is a failure, but counts as absent where it is made anew by itself. */
export function keptDocument(name: string, read: () => Json, place: string): Json | undefined {
  try {
    return read();
  } catch (cause) {
    if (MADE_ANEW.test(name)) return undefined;
    throw new UpdateError('store-document-invalid', `What lies under ${name} in ${place} is not JSON.`, { cause });
  }
}

/** A machine is known again with its next check-in, and the fleet is counted every few minutes. */
const MADE_ANEW = /(?:^|\/)(?:machine\/[0-9a-f]{32}|census\/[a-z]+)$/;
