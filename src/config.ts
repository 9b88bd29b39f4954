/** Every configuration key: its type, its default and one sentence. The only importer of zod. */

import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { type Fragment, readFragment, readFragments } from './config-fragments.ts';
import { bootPartition, camelCase, isHttpUrl, verity } from './config-words.ts';
import { UpdateError } from './errors.ts';
import { PRODUCT_PATTERN } from './model.ts';
import { spansOf } from './reboot/gates/spans.ts';
import { HEALTH_DIRS } from './reboot/health/programs.ts';
import { GROUP_PATTERN } from './rollout/document.ts';
import type { Files } from './system/files.ts';

const text = z.string('must be text');
const path = text.refine((one) => isAbsolute(one) && !one.includes('\0'), 'must be an absolute path');
const label = text.regex(/^[\x20-\x7e]{1,36}$/, 'must be a partition label of at most 36 characters');
const labelOrNone = z.union([z.literal(''), label], 'must be a partition label or empty');
const unit = text.regex(/^[\w@.:\\*?-]{1,255}$/, 'must be the name of a unit');
const whole = (least: number, most: number) =>
  z.int('must be a whole number').min(least, `must be at least ${least}`).max(most, `must be at most ${most}`);
const httpUrl = text.refine(isHttpUrl, 'must be an http or https address');
const truth = z.boolean('must be true or false');
const oneOf = <const T extends readonly [string, ...string[]]>(...words: T) =>
  z.enum(words, `must be ${words.map((word) => `"${word}"`).join(' or ')}`);

const list = <T extends z.ZodType>(one: T, what: string, most: number) =>
  z.array(one, `must be a list of ${what}`).max(most, `must be a list of at most ${most} ${what}`);

const spans = (kind: Parameters<typeof spansOf>[1]) =>
  z.unknown().transform((value, context) => {
    const read = spansOf(value, kind);
    if ('spans' in read) return read.spans;
    context.addIssue(read.fault);
    return z.NEVER;
  });

/** Sections and keys as they are written in TOML; in code the names are in camel case. */
export const KEYS = {
  host: {
    product: key(
      text.regex(PRODUCT_PATTERN, 'must be lower-case letters, digits and dashes, at most 32'),
      'The product whose releases this host takes; there is no default.',
    ),
    group: preset(
      text.regex(GROUP_PATTERN, 'must be letters, digits, dots and dashes, at most 64'),
      'default',
      'The group of hosts that it belongs to: rollouts treat groups differently.',
    ),
    architecture: key(oneOf('x86-64', 'arm64'), 'The processor whose releases this host takes; its own when not set.'),
  },
  repository: {
    url: key(httpUrl, 'Where the repository is; there is no default.'),
    mirrors: preset(
      list(httpUrl, 'addresses', 16),
      [],
      'The same repository elsewhere, asked in this order when `url` fails; what comes is signed, so any place will do.',
    ),
    channel: preset(
      text.regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'must be the name of a channel'),
      'stable',
      'The channel that says which release is on offer.',
    ),
    ca_file: key(path, 'PEM certificates to trust instead of the system’s.'),
    proxy: key(httpUrl, 'The proxy, as http://[user:password@]host:port; the environment is not asked.'),
  },
  fleet: {
    url: key(httpUrl, 'The fleet server that bounds rollouts; none when not set.'),
    token_file: key(path, 'Holds the token that the fleet server asks of hosts.'),
  },
  poll: {
    schedule: preset(
      text.regex(/^(\S+ ){4,5}\S+$/, 'must be a cron expression: five or six fields'),
      '*/30 * * * *',
      'When to ask the repository, as a cron expression in UTC.',
    ),
    jitter_minutes: preset(whole(0, 1440), 10, 'Each poll is delayed by a random time up to this.', 'minutes'),
    backoff_minutes: preset(whole(1, 1440), 1, 'The delay after a first failure; it doubles with each.', 'minutes'),
    backoff_limit_minutes: preset(whole(1, 10_080), 240, 'The longest delay after failures.', 'minutes'),
  },
  download: {
    connect_timeout_seconds: preset(whole(1, 600), 20, 'How long connecting may take.', 'seconds'),
    idle_timeout_seconds: preset(whole(1, 3600), 60, 'The longest silence of a server.', 'seconds'),
    minimum_rate_bytes: preset(
      whole(0, 1e12),
      1024,
      'A download that brings less, averaged over a minute, is broken off.',
      'bytes a second',
    ),
    rate_limit_bytes: preset(
      whole(0, 1e12),
      0,
      'The most that downloads may take of the network, all connections together; 0 is no limit.',
      'bytes a second',
    ),
    connections: preset(whole(1, 16), 3, 'Connections at the same time when only parts of a file are fetched.'),
    threads: preset(whole(1, 64), 2, 'Threads that decompress and check.'),
  },
  slots: {
    disk: preset(
      z.union([z.literal('auto'), path], 'must be "auto" or an absolute path'),
      'auto',
      'The disk with the slots; “auto” is the one that the running system lies on.',
    ),
    a_root: preset(label, 'root-a', 'Label of the root partition of slot a.'),
    a_verity: preset(labelOrNone, 'root-a-verity', verity('a')),
    b_root: preset(label, 'root-b', 'Label of the root partition of slot b.'),
    b_verity: preset(labelOrNone, 'root-b-verity', verity('b')),
  },
  boot: {
    backend: preset(
      oneOf('systemd-boot', 'grub', 'uboot', 'efi-variables', 'gpt', 'tryboot', 'program'),
      'systemd-boot',
      'The boot loader that counts the tries.',
    ),
    esp: preset(path, '/efi', 'Where the EFI system partition is mounted.'),
    grub_environment: preset(
      path,
      '/efi/EFI/tandem/grubenv',
      'Where grub.cfg keeps the flags, if GRUB counts the tries.',
    ),
    uboot_environment: preset(
      path,
      '/etc/fw_env.config',
      'The file that says where U-Boot’s environment lies, if U-Boot counts the tries.',
    ),
    efi_variables: preset(
      path,
      '/sys/firmware/efi/efivars',
      'Where efivarfs is mounted, if the firmware itself starts the slots.',
    ),
    tryboot_dir: preset(
      path,
      '/boot/autoboot',
      'Where the partition with autoboot.txt is mounted, if the firmware of a Raspberry Pi tries the slots.',
    ),
    tryboot_a_dir: preset(path, '/boot/a', bootPartition('Where', 'is mounted', 'a')),
    tryboot_b_dir: preset(path, '/boot/b', bootPartition('Where', 'is mounted', 'b')),
    tryboot_a_partition: preset(whole(1, 255), 2, bootPartition('The number that', 'has on its disk', 'a')),
    tryboot_b_partition: preset(whole(1, 255), 3, bootPartition('The number that', 'has on its disk', 'b')),
    program: key(path, 'The program that stands for the boot loader, if `boot.backend` is “program”.'),
    program_tries: preset(whole(1, 99), 1, 'How many tries the boot loader behind that program can count.'),
    tries: preset(whole(1, 9), 3, 'How often a new release may try to boot.'),
  },
  reboot: {
    method: preset(
      oneOf('auto', 'firmware', 'kexec', 'soft'),
      'firmware',
      'How the host is restarted into a new release; “auto” is the fastest way that is safe, in doubt the firmware.',
    ),
    kexec_most_in_a_row: preset(
      whole(0, 1000),
      5,
      'After so many restarts by kexec the next goes through the firmware.',
    ),
    firmware_flags: preset(
      list(path, 'files', 16),
      ['/run/tandem/firmware-refresh'],
      'While one of these files exists, restarts go through the firmware, so that it can refresh itself.',
    ),
    automatic: preset(truth, true, 'Reboot into a staged release without being asked; else `updatectl apply` does.'),
    window: preset(spans('window'), [], 'Tables [[reboot.window]]: when it may; always without one (docs/gates.md).'),
    black_out: preset(spans('black_out'), [], 'Tables [[reboot.black_out]]: when it must not.'),
    deadline_days: preset(whole(0, 365), 0, 'After so long soft gates are not heard any more; 0 is never.', 'days'),
  },
  lock: {
    kind: preset(oneOf('none', 'fleetlock', 'etcd'), 'none', 'The lock that hosts take before they reboot.'),
    url: key(httpUrl, 'The FleetLock server: airlock, or the fleet server.'),
    endpoints: preset(list(httpUrl, 'addresses', 32), [], 'The client addresses of etcd, all members of one cluster.'),
    group: key(
      text.regex(GROUP_PATTERN, 'must be letters, digits, dots and dashes, at most 64'),
      'Hosts of one group share a lock; `host.group` when not set.',
    ),
    max: preset(whole(1, 1000), 1, 'How many hosts may reboot at once; only the first host of a group is asked.'),
    max_failures: preset(
      whole(0, 1000),
      0,
      'With more failed or overdue hosts nobody else reboots; only the first host of a group is asked.',
    ),
    deadline_minutes: preset(
      whole(1, 10_080),
      60,
      'A host that has not given the lock back after that long counts as failed.',
      'minutes',
    ),
    etcd_on_hosts: preset(
      truth,
      false,
      'The members of etcd are the hosts that reboot: a majority must stay, and nobody goes while one is ill.',
    ),
    ca_file: key(path, 'PEM certificates to trust instead of the system’s.'),
    cert_file: key(path, 'The PEM certificate that this host shows.'),
    key_file: key(path, 'The PEM key of that certificate.'),
    user: key(text.regex(/^[\x21-\x7e]{1,128}$/, 'must be the name of a user'), 'The user of etcd.'),
    password_file: key(path, 'A file with the password of that user.'),
  },
  health: {
    required_units: preset(list(unit, 'units', 256), [], 'Units that must be active for a release to be good.'),
    ignored_units: preset(list(unit, 'units', 256), [], 'Units, globs too, that may fail or be late.'),
    start_timeout_seconds: preset(
      whole(1, 3600),
      300,
      'How long a system on trial may take to finish starting.',
      'seconds',
    ),
    timeout_seconds: preset(whole(1, 3600), 60, 'How long one health program may run.', 'seconds'),
    directories: preset(
      list(path, 'folders', 16),
      [...HEALTH_DIRS],
      'Folders whose required/ and wanted/ hold health programs.',
    ),
  },
  agent: {
    log_level: preset(oneOf('debug', 'info', 'warn', 'error'), 'info', 'How much the agent logs.'),
    state_dir: preset(path, '/var/lib/tandem', 'What the agent must find again after a power cut.'),
    runtime_dir: preset(path, '/run/tandem', 'Where the control socket is.'),
  },
  trust: {
    root_file: preset(
      path,
      '/usr/share/tandem/root.json',
      'The trust root in the image; everything is believed from it.',
    ),
  },
} as const;

export const CONFIG_DIRS = ['/usr/lib/tandem/config.d', '/etc/tandem/config.d', '/run/tandem/config.d'] as const;

type Camel<S extends string> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S;
type Keys = typeof KEYS;
type ValueOf<K> = K extends Preset<infer T> ? T : K extends Key<infer T> ? T | undefined : never;

/** The configuration in force. */
export type Config = {
  readonly [S in keyof Keys]: { readonly [K in keyof Keys[S] as Camel<K & string>]: ValueOf<Keys[S][K]> };
};

/** One value and where it came from: `file:line`, or `default`; undefined when it is not set at all. */
export type Setting = Readonly<{
  path: string;
  value: unknown;
  origin: string | undefined;
  sentence: string;
  unit?: string;
}>;

/** Key by key the last fragment wins. */
export function resolveConfig(fragments: readonly Fragment[]): Config {
  const settings = new Map(explainConfig(fragments).map((setting) => [setting.path, setting.value]));
  const sections = Object.entries(KEYS).map(([section, keys]) => [
    section,
    Object.fromEntries(Object.keys(keys).map((name) => [camelCase(name), settings.get(`${section}.${name}`)])),
  ]);
  // The table above is the type, and every value has been checked against it.
  return Object.fromEntries(sections) as Config;
}

/** Every key with the value in force, in the order of the table. */
export function explainConfig(fragments: readonly Fragment[]): readonly Setting[] {
  const given = new Map(
    fragments.flatMap((fragment) => readFragment(fragment, KEYS)).map((one) => [one.path, one] as const),
  );
  return allKeys().map(([path, { fallback, sentence, unit }]) => {
    const one = given.get(path);
    const origin = one?.origin ?? (fallback === undefined ? undefined : 'default');
    return { path, value: one ? one.value : fallback, origin, sentence, ...(unit === undefined ? {} : { unit }) };
  });
}

/** The configuration of this host. */
export const loadConfig = async (
  files: Pick<Files, 'list' | 'read'>,
  dirs: readonly string[] = CONFIG_DIRS,
): Promise<Config> => resolveConfig(await readFragments(files, dirs));

/** A value that has no default and must be set. */
export function requireSetting(config: Config, path: 'host.product' | 'repository.url'): string {
  const value = path === 'host.product' ? config.host.product : config.repository.url;
  if (value !== undefined) return value;
  throw new UpdateError('config-invalid', `${path} is not set; put it into ${CONFIG_DIRS[1]}/, for example.`);
}

/** Every key of the table with its path. */
export const allKeys = (): readonly (readonly [string, AnyKey])[] =>
  Object.entries(KEYS).flatMap(([section, keys]) =>
    Object.entries(keys as Readonly<Record<string, AnyKey>>).map(([name, one]) => [`${section}.${name}`, one] as const),
  );

type AnyKey = Readonly<{ type: z.ZodType; fallback?: unknown; sentence: string; unit?: string }>;
type Key<T> = AnyKey & Readonly<{ type: z.ZodType<T> }>;
type Preset<T> = Key<T> & Readonly<{ fallback: T }>;

function key<T>(type: z.ZodType<T>, sentence: string): Key<T> {
  return { type, sentence };
}

function preset<T>(type: z.ZodType<T>, fallback: NoInfer<T>, sentence: string, unit?: string): Preset<T> {
  return { type, fallback, sentence, ...(unit === undefined ? {} : { unit }) };
}
