/** Parses a stored document. Pure. */

import { UpdateError } from '../../errors.ts';
import { type Json, SCHEMA } from './store.ts';

/** `name` ends in kind and id. An unreadable document is an error, but counts as absent if it is rebuilt automatically. */
export function keptDocument(name: string, read: () => Json, place: string): Json | undefined {
  const document = readIfAny(name, read, place);
  const schema = schemaOf(document);
  if (schema <= SCHEMA) return document;
  throw new UpdateError('store-document-newer', `The document ${name} in ${place} has schema ${schema}.`);
}

/** The same in a list, where one bad document must not hide the others. */
export function listedDocument(name: string, read: () => Json, place: string): Json | undefined {
  const document = readIfAny(name, read, place);
  return schemaOf(document) <= SCHEMA ? document : undefined;
}

function readIfAny(name: string, read: () => Json, place: string): Json | undefined {
  try {
    return read();
  } catch (cause) {
    if (MADE_ANEW.test(name)) return undefined;
    throw new UpdateError('store-document-invalid', `The document ${name} in ${place} is not JSON.`, { cause });
  }
}

/** Not every document has a schema number. */
function schemaOf(document: Json | undefined): number {
  if (typeof document !== 'object' || document === null || !('schema' in document)) return 0;
  return typeof document['schema'] === 'number' ? document['schema'] : 0;
}

/** Rebuilt automatically: a machine by its next check-in, the census every few minutes. */
const MADE_ANEW = /(?:^|\/)(?:machine\/[0-9a-f]{32}|census\/[a-z]+)$/;
