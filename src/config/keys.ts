/** Every configuration key: its type, its default and one sentence. */

import { BOOT_BACKENDS, GROUP_PATTERN, PRODUCT_PATTERN } from '../model.ts';
import { HOLDER_ID, LONGEST_ID } from '../reboot/gates/locks/semaphore-document.ts';
import { HEALTH_DIRS } from '../reboot/health/programs.ts';
import { isScheduleExpression } from '../system/cron.ts';
import { LOG_FORMATS, LOG_LEVELS } from '../system/log.ts';
import {
  httpUrl,
  key,
  label,
  labelOrNone,
  list,
  oneOf,
  path,
  pathOr,
  preset,
  spans,
  text,
  truth,
  unit,
  whole,
} from './types.ts';
import { bootPartition, verity } from './words.ts';

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
      'The same repository elsewhere, asked in this order when `url` fails or serves something stale or broken; what comes is signed, so any place will do.',
    ),
    channel: preset(
      text.regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'must be the name of a channel'),
      'stable',
      'The channel that says which release is on offer.',
    ),
    ca_file: key(path, 'PEM certificates to trust instead of the system’s (docs/networks.md).'),
    proxy: key(httpUrl, 'The proxy, as http://[user:password@]host:port; the environment is not asked.'),
  },
  fleet: {
    url: key(httpUrl, 'The fleet server that bounds rollouts; none when not set.'),
    token_file: key(path, 'Holds the token that the fleet server asks of hosts.'),
    settings_prefix: key(
      text.regex(/^[\x21-\x7e]{1,200}\/$/, 'must be printable text that ends in a slash'),
      'Settings for the fleet lie below this key of the etcd at `lock.endpoints`; none when not set (docs/fleet-settings.md).',
    ),
  },
  poll: {
    schedule: preset(
      text.refine(isScheduleExpression, 'must be a cron expression: five or six fields'),
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
    disk: preset(pathOr('auto'), 'auto', 'The disk with the slots; “auto” is the one that the running system lies on.'),
    a_root: preset(label, 'root-a', 'Label of the root partition of slot a.'),
    a_verity: preset(labelOrNone, 'root-a-verity', verity('a')),
    b_root: preset(label, 'root-b', 'Label of the root partition of slot b.'),
    b_verity: preset(labelOrNone, 'root-b-verity', verity('b')),
  },
  boot: {
    backend: preset(oneOf(...BOOT_BACKENDS), 'systemd-boot', 'The boot loader that counts the tries.'),
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
    session_grace_minutes: preset(
      whole(0, 1440),
      10,
      'Users who are logged in are told of the restart that long before it; 0 does not ask for them.',
      'minutes',
    ),
    require_health: preset(
      truth,
      false,
      'Do not restart while a required probe of `health` fails in the running system.',
    ),
    hook_directories: preset(
      list(path, 'folders', 8),
      ['/usr/lib/tandem/pre-reboot.d', '/etc/tandem/pre-reboot.d'],
      'Programs that make the host ready to leave, and take it back (docs/hooks.md).',
    ),
    hook_timeout_minutes: preset(whole(1, 1440), 30, 'How long one of them may run.', 'minutes'),
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
    id: key(
      text
        .regex(HOLDER_ID, 'must be one line without blanks at its ends, and not dots alone')
        .max(LONGEST_ID, 'must be at most 255 characters'),
      'How a FleetLock server calls this host; the id that Zincati makes from the machine id when not set (docs/locks.md).',
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
    user: key(
      text.regex(/^[\x21-\x7e]{1,128}$/, 'must be the name of a user'),
      'The user of etcd, or of the FleetLock server.',
    ),
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
    retry_seconds: preset(
      whole(0, 3600),
      120,
      'For so long whatever is required and fails is asked again before a release is condemned (docs/health.md).',
      'seconds',
    ),
    directories: preset(
      list(path, 'folders', 16),
      [...HEALTH_DIRS],
      'Folders whose required/ and wanted/ hold health programs (docs/health.md).',
    ),
  },
  agent: {
    log_level: preset(oneOf(...LOG_LEVELS), 'info', 'How much the agent logs.'),
    log_format: preset(
      oneOf(...LOG_FORMATS),
      'text',
      'Lines for people, with priorities in systemd’s journal (`journalctl -p warning -u tandem-agent`), or a JSON document each.',
    ),
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
