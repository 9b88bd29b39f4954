/** Counts in a store until it is killed, and says each number once it was answered. */

import { sqliteStore } from '../../src/server/store/sqlite.ts';
import { openDatabase } from '../../src/system/sqlite.ts';

const store = sqliteStore(openDatabase(process.argv[2] ?? '', { durable: false }));
for (;;) {
  const batch = Array.from({ length: 20 }, () =>
    store.update([{ kind: 'counter', id: 'a' }], ([count]) => ({
      write: [Number(count ?? 0) + 1],
      result: Number(count ?? 0) + 1,
    })),
  );
  for (const count of await Promise.all(batch)) process.stdout.write(`${count}\n`);
}
