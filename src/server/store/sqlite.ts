/** The SQLite store, for a single server. */

import type { Database } from '../../system/sqlite.ts';
import { groupCommits } from '../../system/sqlite-commits.ts';
import { keptDocument, listedDocument } from './kept-document.ts';
import { type Outcome, type Played, play } from './play.ts';
import { readySchema } from './sqlite-schema.ts';
import type { Change, Json, Key, Store } from './store.ts';

/** The store in `database`. Updates in the same turn of the event loop share a transaction, and so one sync. */
export function sqliteStore(database: Database): Store {
  readySchema(database);
  const parse = createParser();
  const read = (name: string): Json | undefined => {
    const [row] = database.rows('SELECT json FROM documents WHERE kind = ? AND id = ?', ...partsOf(name));
    return row && keptDocument(name, () => parse(name, String(row['json'])), 'fleet.db');
  };
  const commit = groupCommits<Played, Outcome>(database, (jobs) => {
    const { after, outcomes } = play(jobs, once(read));
    for (const [name, document] of after) keep(database, name, document);
    return outcomes;
  });
  return {
    read: async (key) => read(nameOf(key)),
    count: async (kind) => Number(database.rows('SELECT count(*) AS n FROM documents WHERE kind = ?', kind)[0]?.['n']),
    list: async (kind, limit, after = '') => {
      const rows = database.rows(
        'SELECT id, json FROM documents WHERE kind = ? AND id > ? ORDER BY id LIMIT ?',
        kind,
        after,
        limit,
      );
      const documents = rows.flatMap((row) => {
        const id = String(row['id']);
        const document = listedDocument(
          nameOf({ kind, id }),
          () => JSON.parse(String(row['json'])) as Json,
          'fleet.db',
        );
        return document === undefined ? [] : [{ id, document }];
      });
      const last = rows.at(-1);
      return { documents, ...(last && rows.length === limit ? { next: String(last['id']) } : {}) };
    },
    update: async <T>(keys: readonly Key[], change: (documents: readonly (Json | undefined)[]) => Change<T>) => {
      const outcome = await commit({ keys: keys.map(nameOf), change });
      if ('error' in outcome) throw outcome.error;
      return outcome.result as T;
    },
    [Symbol.asyncDispose]: async () => database[Symbol.dispose](),
  };
}

/** Reparses a large document only after a change: every requesting host reads the ledger of its rollout. */
function createParser(): (name: string, text: string) => Json {
  const known = new Map<string, Readonly<{ text: string; document: Json }>>();
  return (name, text) => {
    const last = known.get(name);
    if (last?.text === text) return last.document;
    const document = JSON.parse(text) as Json;
    known.delete(name);
    if (text.length > LARGE) known.set(name, { text, document });
    const [oldest] = known.size > MOST_KNOWN ? known.keys() : [];
    if (oldest !== undefined) known.delete(oldest);
    return document;
  };
}

/** In characters. */
const LARGE = 4096;
const MOST_KNOWN = 16;

/** Reads each name only once. */
function once(read: (name: string) => Json | undefined): (name: string) => Json | undefined {
  const known = new Map<string, Json | undefined>();
  return (name) => {
    if (!known.has(name)) known.set(name, read(name));
    return known.get(name);
  };
}

const nameOf = ({ kind, id }: Key): string => `${kind}/${id}`;

/** A kind is a plain word. */
function partsOf(name: string): [kind: string, id: string] {
  const slash = name.indexOf('/');
  return [name.slice(0, slash), name.slice(slash + 1)];
}

function keep(database: Database, name: string, document: Json | undefined): void {
  const [kind, id] = partsOf(name);
  if (document === undefined) database.run('DELETE FROM documents WHERE kind = ? AND id = ?', kind, id);
  else
    database.run(
      'INSERT INTO documents (kind, id, json) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET json = excluded.json',
      kind,
      id,
      JSON.stringify(document),
    );
}
