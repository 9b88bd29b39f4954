/** What the commands of the lock share: which etcd, and which group. */

import { groupOf, openEtcd } from '../agent/lock.ts';
import { type Config, loadConfig } from '../config.ts';
import { UpdateError } from '../errors.ts';
import type { Etcd } from '../system/etcd.ts';
import type { Context, Input, OptionSpec } from './command.ts';

export const LOCK_OPTIONS: readonly OptionSpec[] = [
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

/** The lock in etcd that a command is about: of this host's configuration, or of the command line. */
export async function lockOf(context: Context, input: Input): Promise<Readonly<{ etcd: Etcd; group: string }>> {
  const config = withOptions(await loadConfig(context.files), input);
  if (config.lock.kind === 'fleetlock')
    throw new UpdateError(
      'usage',
      'The lock of this host is a FleetLock server: only its operator can look into it. Or name etcd with --endpoint.',
    );
  return { etcd: await openEtcd(config, context), group: groupOf(config) };
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
  throw new UpdateError('usage', `--endpoint must be an http or https address, not “${url}”.`);
}
