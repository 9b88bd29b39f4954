/** Where the lock commands go: to etcd or to a fleet server, and for which group. */

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
    summary: 'an etcd address instead of this host’s; may be repeated',
    repeat: true,
  },
  { flags: '--group <name>', summary: 'the group, if not this host’s' },
  { flags: '--ca <file>', summary: 'PEM certificates to trust' },
  { flags: '--cert <file>', summary: 'the PEM client certificate' },
  { flags: '--key <file>', summary: 'its PEM key' },
  { flags: '--user <name>', summary: 'the etcd user' },
  { flags: '--password-file <file>', summary: 'a file with the password of that user' },
];

/** An operator's view of one group's lock, and the changes to it, wherever the lock is kept. */
export interface LockDesk {
  readonly group: string;
  /** Undefined if no host has ever asked for it. */
  view(): Promise<LockView | undefined>;
  /** By its name or its id. */
  release(host: string): Promise<void>;
  setMax(max: number, maxFailures: number | undefined): Promise<void>;
}

/** The lock that a command is about: at the fleet server or etcd of the command line, or of this host's configuration. */
export async function lockDesk(context: Context, input: Input): Promise<LockDesk> {
  const config = withOptions(await loadConfig(context.files), input);
  const group = groupOf(config);
  if (input.text('server') !== undefined) return serverDesk(context, input, group);
  if (config.lock.kind === 'fleetlock')
    throw new UpdateError(
      'usage',
      'This host’s lock is at a FleetLock server, which only its operator can inspect. Pass --server and --token-file for `updatectl server`, or --endpoint for etcd.',
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
    throw new UpdateError('usage', 'Pass either --server or --endpoint: the lock is kept in one place.');
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
          `“${host}” neither holds the reboot lock of group ${group} nor has failed in it.`,
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
  // This host's login is not valid at another etcd.
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
