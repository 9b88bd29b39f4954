/** Where the commands of the lock go: to etcd or to a fleet server, and for which group. */

import { groupOf, openEtcd } from '../../agent/gates/open-lock.ts';
import { type Config, loadConfig } from '../../config/config.ts';
import { UpdateError } from '../../errors.ts';
import { integer, list, literal, object, words } from '../../formats/shape.ts';
import { type LockView, lockView, releaseHolder, setLockMax } from '../../reboot/gates/locks/etcd-operator.ts';
import { MOST_HOLDERS } from '../../reboot/gates/locks/semaphore-document.ts';
import { redactUrl } from '../../system/http/shown-address.ts';
import type { Context, Input, OptionSpec } from '../command.ts';
import { askServer, readAnswer, SERVER_OPTIONS } from '../server/client.ts';

export const LOCK_OPTIONS: readonly OptionSpec[] = [
  ...SERVER_OPTIONS.filter(({ flags }) => !flags.startsWith('--ca ')).map((one) => ({ ...one, required: false })),
  {
    flags: '--endpoint <url>',
    summary: 'an address of etcd instead of those of this host; may be repeated',
    repeat: true,
  },
  { flags: '--group <name>', summary: 'the group, if not that of this host' },
  { flags: '--ca <file>', summary: 'PEM certificates to trust' },
  { flags: '--cert <file>', summary: 'the PEM certificate to show' },
  { flags: '--key <file>', summary: 'its PEM key' },
  { flags: '--user <name>', summary: 'the user of etcd' },
  { flags: '--password-file <file>', summary: 'a file with the password' },
];

/** What an operator sees of the lock of one group, and may change, wherever the lock is kept. */
export interface LockDesk {
  readonly group: string;
  /** Undefined when nobody has ever asked for it. */
  view(): Promise<LockView | undefined>;
  /** By its name or its id. */
  release(host: string): Promise<void>;
  setMax(max: number, maxFailures: number | undefined): Promise<void>;
}

/** The lock that a command is about: of the fleet server or the etcd of the command line, or of this host's configuration. */
export async function lockDesk(context: Context, input: Input): Promise<LockDesk> {
  const config = withOptions(await loadConfig(context.files), input);
  const group = groupOf(config);
  if (input.text('server') !== undefined) return serverDesk(context, input, group);
  if (config.lock.kind === 'fleetlock')
    throw new UpdateError(
      'usage',
      'The lock of this host is a FleetLock server, which only its operator can look into: for `updatectl server` name it with --server and --token-file, or etcd with --endpoint.',
    );
  const etcd = await openEtcd(config, context);
  return {
    group,
    view: () => lockView(etcd, group),
    release: (host) => releaseHolder(etcd, group, host),
    setMax: (max, maxFailures) => setLockMax(etcd, group, max, maxFailures),
  };
}

function serverDesk(context: Context, input: Input, group: string): LockDesk {
  if (input.list('endpoint').length > 0)
    throw new UpdateError('usage', 'Either --server or --endpoint: the lock is kept in one place.');
  const path = `/v1/locks/${encodeURIComponent(group)}`;
  const view = async (): Promise<LockView> => ({
    ...readAnswer(LOCK, await askServer(context, input, 'GET', path)),
    schema: 1,
    queue: [],
    queued: 0,
  });
  return {
    group,
    view,
    release: async (host) => {
      const { holders, failures } = await view();
      const found = [...holders, ...failures].find(({ id, name }) => id === host || name === host);
      if (!found)
        throw new UpdateError(
          'lock-not-held',
          `“${host}” neither holds the lock of the group ${group} nor has failed in it.`,
        );
      await askServer(context, input, 'DELETE', `${path}/${encodeURIComponent(found.id)}`);
    },
    setMax: async (max, maxFailures) => {
      await askServer(context, input, 'PUT', path, { max, ...(maxFailures === undefined ? {} : { maxFailures }) });
    },
  };
}

function withOptions(config: Config, input: Input): Config {
  const endpoints = input.list('endpoint');
  const group = input.text('group');
  const named = group === undefined ? config.lock : { ...config.lock, group };
  if (endpoints.length === 0) return { ...config, lock: named };
  // Another etcd knows nothing of this host's login.
  const {
    kind: _kind,
    caFile: _ca,
    certFile: _cert,
    keyFile: _key,
    user: _user,
    passwordFile: _password,
    ...rest
  } = named;
  return {
    ...config,
    lock: {
      ...rest,
      kind: 'etcd',
      endpoints: endpoints.map(checkedUrl),
      caFile: input.text('ca'),
      certFile: input.text('cert'),
      keyFile: input.text('key'),
      user: input.text('user'),
      passwordFile: input.text('password-file'),
    },
  };
}

function checkedUrl(url: string): string {
  if (/^https?:$/.test(URL.parse(url)?.protocol ?? '')) return url;
  throw new UpdateError('usage', `--endpoint must be an http or https address, not “${redactUrl(url)}”.`);
}

const line = words(300);
const id = line;
const HOLDERS = list(
  object(
    {
      id,
      name: line,
      hardware: line,
      phase: literal('waiting', 'rebooting'),
      since: line,
      why: line,
      deadlineSeconds: integer(1),
      late: literal(true, false),
    },
    'ignore',
  ),
  MOST_HOLDERS,
);
const FAILURES = list(object({ id, name: line, since: line, why: line }, 'ignore'), MOST_HOLDERS);
const count = integer(0, MOST_HOLDERS);
const LOCK = object(
  { group: line, max: count, maxFailures: count, free: count, holders: HOLDERS, failures: FAILURES },
  'ignore',
);
