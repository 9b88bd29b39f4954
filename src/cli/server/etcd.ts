/** The etcd that fleet servers share as their store: the connection to it, and its compaction. */

import { UpdateError } from '../../errors.ts';
import { etcdStore } from '../../server/store/etcd.ts';
import { type EtcdWatch, watchEtcd } from '../../server/store/etcd-condition.ts';
import { createHistory } from '../../server/store/etcd-history.ts';
import type { Store } from '../../server/store/store.ts';
import { createEtcd, type Etcd, type EtcdCare } from '../../system/etcd/etcd.ts';
import { createHttp } from '../../system/http/http.ts';
import { redactUrl } from '../../system/http/shown-address.ts';
import type { Context, Input, OptionSpec } from '../command.ts';
import { readGiven } from '../given-file.ts';
import { untilStopped } from '../until-stopped.ts';

export const ETCD_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--etcd <url>',
    summary: 'keep the store in etcd, so that several servers can share it; repeat for each member',
    repeat: true,
  },
  { flags: '--etcd-prefix <name>', summary: 'prefix of its keys', default: 'tandem/fleet/v1' },
  { flags: '--etcd-compact', summary: 'compact etcd’s history even if it holds, or may hold, other programs’ keys' },
  { flags: '--etcd-ca <file>', summary: 'PEM certificates to trust' },
  { flags: '--etcd-cert <file>', summary: 'the PEM client certificate' },
  { flags: '--etcd-key <file>', summary: 'its PEM key' },
  { flags: '--etcd-user <name>', summary: 'the etcd user' },
  { flags: '--etcd-password-file <file>', summary: 'a file with the password of that user' },
];

export async function openEtcdStore(
  context: Context,
  input: Input,
  endpoints: readonly string[],
): Promise<Readonly<{ store: Store; etcd: EtcdWatch }>> {
  const { clock, random } = context;
  const etcd = await etcdFrom(context, input, endpoints);
  const prefix = prefixFrom(input.given('etcd-prefix'));
  const history = createHistory({ etcd, clock, prefix, isOurs: input.flag('etcd-compact') });
  const store = etcdStore({ etcd, clock, random, prefix, wrote: history.wrote });
  const watch = watchEtcd({ etcd, key: `${prefix}/schema`, isOurs: history.isOurs }, context.log);
  return { store, etcd: watch };
}

/** Checks etcd when the server starts, and every minute. */
export const watchUntilStopped = (context: Context, watch: EtcdWatch): Promise<void> =>
  untilStopped(context, LOOK_MS, watch.look, ({ code, message }) =>
    context.log.warn({ code }, `the space left in etcd could not be checked: ${message}`),
  );

const LOOK_MS = 60_000;

async function etcdFrom(context: Context, input: Input, endpoints: readonly string[]): Promise<Etcd & EtcdCare> {
  const { clock, random, version } = context;
  const ca = await readOption(context, input, 'etcd-ca');
  const [certificate, key] = [
    await readOption(context, input, 'etcd-cert'),
    await readOption(context, input, 'etcd-key'),
  ];
  const [user, password] = [input.text('etcd-user'), await readOption(context, input, 'etcd-password-file')];
  if ((certificate === undefined) !== (key === undefined))
    throw new UpdateError('usage', 'Pass --etcd-cert and --etcd-key together.');
  if ((user === undefined) !== (password === undefined))
    throw new UpdateError('usage', 'Pass --etcd-user and --etcd-password-file together.');
  const http = createHttp({
    connectTimeoutMs: 2_000,
    idleTimeoutMs: TIMEOUT_MS,
    userAgent: `tandem/${version}`,
    clock,
    ...(ca ? { ca } : {}),
    ...(certificate && key ? { identity: { certificate, key } } : {}),
  });
  return createEtcd({
    http,
    endpoints: endpoints.map(checkedUrl),
    timeoutMs: TIMEOUT_MS,
    start: random.fraction(),
    // Requests in progress when the server stops still get their answers.
    signal: new AbortController().signal,
    ...(user !== undefined && password
      ? { login: { user, password: new TextDecoder().decode(password).trimEnd() } }
      : {}),
  });
}

/** How long a frozen member keeps hosts waiting. */
const TIMEOUT_MS = 3_000;

async function readOption(context: Context, input: Input, option: string): Promise<Uint8Array | undefined> {
  const file = input.text(option);
  return file === undefined ? undefined : readGiven(context, file);
}

function prefixFrom(text: string): string {
  if (/^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/.test(text)) return text;
  throw new UpdateError('usage', `--etcd-prefix takes names separated by slashes, not “${text}”.`);
}

function checkedUrl(url: string): string {
  if (/^https?:$/.test(URL.parse(url)?.protocol ?? '')) return url;
  throw new UpdateError('usage', `--etcd must be an http or https address, not “${redactUrl(url)}”.`);
}
