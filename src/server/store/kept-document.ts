/** A document as it was kept, read again. Pure. */

import { UpdateError } from '../../errors.ts';
import { type Json, SCHEMA } from './store.ts';

/** `name` ends in its kind and id. One that cannot be read is a failure, but counts as absent where it is made anew by itself. */
export function keptDocument(name: string, read: () => Json, place: string): Json | undefined {
  const document = readIfAny(name, read, place);
  const schema = schemaOf(document);
  if (schema <= SCHEMA) return document;
  throw new UpdateError('store-document-newer', `What lies under ${name} in ${place} has schema ${schema}.`);
}

/** The same in a list, where one must not keep the others from being seen. */
export function listedDocument(name: string, read: () => Json, place: string): Json | undefined {
  const document = readIfAny(name, read, place);
  return schemaOf(document) <= SCHEMA ? document : undefined;
}

function readIfAny(name: string, read: () => Json, place: string): Json | undefined {
  try {
    return read();
  } catch (cause) {
    if (MADE_ANEW.test(name)) return undefined;
    throw new UpdateError('store-document-invalid', `What lies under ${name} in ${place} is not JSON.`, { cause });
  }
}

/** Not every document names its own. */
function schemaOf(document: Json | undefined): number {
  if (typeof document !== 'object' || document === null || !('schema' in document)) return 0;
  return typeof document['schema'] === 'number' ? document['schema'] : 0;
}

/** A machine is known again with its next check-in, and the fleet is counted every few minutes. */
const MADE_ANEW = /(?:^|\/)(?:machine\/[0-9a-f]{32}|census\/[a-z]+)$/;
