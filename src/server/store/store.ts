/** Where the server keeps what it knows: documents by kind and id, changed by one atomic verb. */

/**
 * The form of what is kept, as a whole and of each document that names its own: a server that finds a higher number leaves it alone. Fields may
 * be added within one; what would mislead an older server raises it.
 */
export const SCHEMA = 1;

/** JSON, as it is kept. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A kind is a word of ours; an id comes from outside, bounded and checked before it gets here. */
export type Key = Readonly<{ kind: string; id: string }>;

/** What becomes of the documents that were read, in their order: a new one, `null` to remove it, `undefined` to leave it as it is. */
export type Change<T> = Readonly<{ write: readonly (Json | undefined)[]; result: T }>;

export type Page = Readonly<{ documents: readonly Readonly<{ id: string; document: Json }>[]; next?: string }>;

export interface Store extends AsyncDisposable {
  read(key: Key): Promise<Json | undefined>;
  /** The documents of a kind by id, `limit` at a time; `after` is the `next` of the page before. */
  list(kind: string, limit: number, after?: string): Promise<Page>;
  count(kind: string): Promise<number>;
  /**
   * Reads the documents, and writes what `change` makes of them as one step that nobody gets in between. Durable when it returns. `change` may
   * be asked more than once, so it must do nothing but compute.
   */
  update<T>(keys: readonly Key[], change: (documents: readonly (Json | undefined)[]) => Change<T>): Promise<T>;
}
