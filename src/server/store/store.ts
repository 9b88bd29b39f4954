/** The server's store: documents by kind and id, changed by one atomic operation. */

/**
 * The schema of the store as a whole, and of each document with a number: a server leaves higher numbers alone. Fields may be added within
 * a schema; anything that would mislead an older server raises it.
 */
export const SCHEMA = 1;

/** JSON, as stored. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A kind is our own word; an id comes from outside, and is checked by the caller. */
export type Key = Readonly<{ kind: string; id: string }>;

/** The new value of each document read, in order: a document, `null` to remove it, `undefined` to keep it. */
export type Change<T> = Readonly<{ write: readonly (Json | undefined)[]; result: T }>;

export type Page = Readonly<{ documents: readonly Readonly<{ id: string; document: Json }>[]; next?: string }>;

export interface Store extends AsyncDisposable {
  read(key: Key): Promise<Json | undefined>;
  /** The documents of a kind by id, `limit` at a time; `after` is `next` of the previous page. */
  list(kind: string, limit: number, after?: string): Promise<Page>;
  count(kind: string): Promise<number>;
  /** Reads the documents, and atomically writes the result of `change`. Durable on return. `change` may run more than once, so it must be pure. */
  update<T>(keys: readonly Key[], change: (documents: readonly (Json | undefined)[]) => Change<T>): Promise<T>;
}
