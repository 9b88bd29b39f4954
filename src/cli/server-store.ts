/** Where a fleet server keeps what it knows: in a file of its own, or in an etcd that it shares with other servers. */

import { join, relative, resolve } from 'node:path';
import { UpdateError } from '../errors.ts';
import { etcdStore } from '../server/etcd-store.ts';
import { sqliteStore } from '../server/sqlite-store.ts';
import type { Store } from '../server/store.ts';
import { createEtcd } from '../system/etcd.ts';
import { createHttp } from '../system/http.ts';
import { makePrivate } from '../system/private-folder.ts';
import { redactUrl } from '../system/shown-address.ts';
import { openDatabase } from '../system/sqlite.ts';
import type { Context, Input, OptionSpec } from './command.ts';
import { readGiven } from './given-file.ts';

export const STORE_OPTIONS: readonly OptionSpec[] = [
  { flags: '--state <folder>', summary: 'where the server keeps what it knows, if not in etcd' },
  {
    flags: '--etcd <url>',
    summary: 'keep it in etcd, so that several servers can share it; repeat for each member',
    repeat: true,
  },
  { flags: '--etcd-prefix <name>', summary: 'what its keys begin with', default: 'tandem/fleet/v1' },
  { flags: '--etcd-ca <file>', summary: 'PEM certificates to trust' },
  { flags: '--etcd-cert <file>', summary: 'the PEM certificate to show' },
  { flags: '--etcd-key <file>', summary: 'its PEM key' },
  { flags: '--etcd-user <name>', summary: 'the user of etcd' },
  { flags: '--etcd-password-file <file>', summary: 'a file with the password' },
];

/** The store that the options name, and how it is called. */
export async function openStore(context: Context, input: Input): Promise<Readonly<{ store: Store; place: string }>> {
  const endpoints = input.list('etcd');
  const state = input.text('state');
  if (endpoints.length > 0 === (state !== undefined))
    throw new UpdateError('usage', 'Give either --state, for one server, or --etcd, for several that share it.');
  if (state === undefined)
    return { store: await inEtcd(context, input, endpoints), place: `etcd at ${endpoints.map(redactUrl).join(', ')}` };
  const folder = resolve(context.cwd(), state);
  for (const path of await makePrivate(folder, DATABASE, secretsIn(folder, context, input)))
    context.log.warn({ path }, 'other users of this machine may look at what the server keeps: narrow its mode');
  return { store: sqliteStore(openDatabase(join(folder, DATABASE))), place: folder };
}

const DATABASE = 'fleet.db';

/** What else of the server's own may lie there. */
const secretsIn = (folder: string, context: Context, input: Input): ReadonlySet<string> =>
  new Set(
    ['tls-own', 'tls-cert', 'tls-key', 'machine-token']
      .map((option) => relative(folder, resolve(context.cwd(), input.text(option) ?? '/')))
      .map((path) => path.split('/')[0] ?? ''),
  );

async function inEtcd(context: Context, input: Input, endpoints: readonly string[]): Promise<Store> {
  const { clock, random, version } = context;
  const ca = await readOption(context, input, 'etcd-ca');
  const [certificate, key] = [
    await readOption(context, input, 'etcd-cert'),
    await readOption(context, input, 'etcd-key'),
  ];
  const [user, password] = [input.text('etcd-user'), await readOption(context, input, 'etcd-password-file')];
  if ((certificate === undefined) !== (key === undefined))
    throw new UpdateError('usage', '--etcd-cert and --etcd-key are given together.');
  if ((user === undefined) !== (password === undefined))
    throw new UpdateError('usage', '--etcd-user and --etcd-password-file are given together.');
  const http = createHttp({
    connectTimeoutMs: 2_000,
    idleTimeoutMs: TIMEOUT_MS,
    userAgent: `tandem/${version}`,
    clock,
    ...(ca ? { ca } : {}),
    ...(certificate && key ? { identity: { certificate, key } } : {}),
  });
  const etcd = createEtcd({
    http,
    endpoints: endpoints.map(checkedUrl),
    timeoutMs: TIMEOUT_MS,
    start: random.fraction(),
    // What is under way when the server is told to end is still answered.
    signal: new AbortController().signal,
    ...(user !== undefined && password
      ? { login: { user, password: new TextDecoder().decode(password).trimEnd() } }
      : {}),
  });
  return etcdStore({ etcd, clock, random, prefix: prefixFrom(input.given('etcd-prefix')) });
}

/** A member that is frozen keeps hosts waiting for so long. */
const TIMEOUT_MS = 3_000;

async function readOption(context: Context, input: Input, option: string): Promise<Uint8Array | undefined> {
  const file = input.text(option);
  return file === undefined ? undefined : readGiven(context, file);
}

function prefixFrom(text: string): string {
  if (/^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/.test(text)) return text;
  throw new UpdateError('usage', `--etcd-prefix is made of names with slashes between them, not “${text}”.`);
}

function checkedUrl(url: string): string {
  if (/^https?:$/.test(URL.parse(url)?.protocol ?? '')) return url;
  throw new UpdateError('usage', `--etcd must be an http or https address, not “${redactUrl(url)}”.`);
}
