/** The schema of the SQLite store: a number, written in the same transaction as the tables. */

import { UpdateError } from '../../errors.ts';
import type { Database } from '../../system/sqlite.ts';
import { SCHEMA } from './store.ts';

/** Migrates an older store in one transaction. Throws on a newer or foreign one, and leaves it unchanged. */
export function readySchema(database: Database): void {
  const version = Number(database.rows('PRAGMA user_version')[0]?.['user_version']);
  if (version > SCHEMA)
    throw new UpdateError(
      'store-newer',
      `${database.path} has schema ${version}; this server knows schemas up to ${SCHEMA}.`,
    );
  database.transaction(() => {
    for (const statement of version < 0 ? [] : STEPS.slice(version).flat()) database.run(statement);
    if (version < 0 || !isOurs(database))
      throw new UpdateError('store-foreign', `${database.path} does not contain this server’s table of documents.`);
  });
}

/** The migrations; released ones never change. A store without a number may already have the table. */
const STEPS: readonly (readonly string[])[] = [
  [
    'CREATE TABLE IF NOT EXISTS documents (kind TEXT, id TEXT, json TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID',
    'PRAGMA user_version = 1',
  ],
];

/** Additional columns are harmless, as long as rows can be written without them. */
function isOurs(database: Database): boolean {
  const columns = database.rows('PRAGMA table_info(documents)');
  const keys = columns.filter(({ pk }) => pk !== 0).map(({ name, pk }) => `${name} ${pk}`);
  const needed = columns.filter(({ notnull, dflt_value, pk }) => pk === 0 && notnull === 1 && dflt_value === null);
  return (
    keys.toSorted().join() === 'id 2,kind 1' &&
    columns.some(({ name }) => name === 'json') &&
    needed.every(({ name }) => name === 'json')
  );
}
