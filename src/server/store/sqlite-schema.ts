/** The form of the SQLite store: one number, written in the same step as the form itself. */

import { UpdateError } from '../../errors.ts';
import type { Database } from '../../system/sqlite.ts';
import { SCHEMA } from './store.ts';

/** Brings an older store to the present form in one transaction. One that is newer, or somebody else's, is refused and left alone. */
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
      throw new UpdateError('store-foreign', `${database.path} has no table of documents as this server makes it.`);
  });
}

/** What leads from each schema to the next; nothing that has been released is ever changed here. A store without a number may have its table. */
const STEPS: readonly (readonly string[])[] = [
  [
    'CREATE TABLE IF NOT EXISTS documents (kind TEXT, id TEXT, json TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID',
    'PRAGMA user_version = 1',
  ],
];

/** Columns that somebody has added do no harm, as long as a row can be written without them. */
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
