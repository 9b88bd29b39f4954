/** The store of a fleet server: its own file, or an etcd shared with other servers. */

import { join, relative, resolve } from 'node:path';
import { UpdateError } from '../../errors.ts';
import type { EtcdWatch } from '../../server/store/etcd-condition.ts';
import { sqliteStore } from '../../server/store/sqlite.ts';
import type { Store } from '../../server/store/store.ts';
import { makePrivate } from '../../system/disk/private-folder.ts';
import { redactUrl } from '../../system/http/shown-address.ts';
import { openDatabase } from '../../system/sqlite.ts';
import type { Context, Input, OptionSpec } from '../command.ts';
import { ETCD_OPTIONS, openEtcdStore } from './etcd.ts';

export const STORE_OPTIONS: readonly OptionSpec[] = [
  { flags: '--state <folder>', summary: 'folder of the store, if it is not in etcd' },
  ...ETCD_OPTIONS,
];

/** A store and its name; `etcd` if that is where it is. */
export type OpenStore = Readonly<{ store: Store; place: string; etcd?: EtcdWatch }>;

/** The store that the options name. */
export async function openStore(context: Context, input: Input): Promise<OpenStore> {
  const endpoints = input.list('etcd');
  const state = input.text('state');
  if (endpoints.length > 0 === (state !== undefined))
    throw new UpdateError('usage', 'Pass either --state, for one server, or --etcd, for several that share it.');
  if (state === undefined)
    return {
      ...(await openEtcdStore(context, input, endpoints)),
      place: `etcd at ${endpoints.map(redactUrl).join(', ')}`,
    };
  const folder = resolve(context.cwd(), state);
  for (const path of await makePrivate(folder, DATABASE, secretsIn(folder, context, input)))
    context.log.warn({ path }, 'other users of this machine can read the server’s data: restrict its mode');
  return { store: sqliteStore(openDatabase(join(folder, DATABASE))), place: folder };
}

const DATABASE = 'fleet.db';

/** The server's other secrets that may be in the folder. */
const secretsIn = (folder: string, context: Context, input: Input): ReadonlySet<string> =>
  new Set(
    ['tls-own', 'tls-cert', 'tls-key', 'machine-token']
      .map((option) => relative(folder, resolve(context.cwd(), input.text(option) ?? '/')))
      .map((path) => path.split('/')[0] ?? ''),
  );
