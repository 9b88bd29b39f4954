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

const verity = (slot: string): string =>
  `Label of the verity partition of slot ${slot}; empty if the root partition contains the tree.`;

const bootPartition = (what: string, slot: string): string =>
  `${what} of the boot partition of slot ${slot} (Raspberry Pi).`;

/** Sections and keys as in TOML; in code, names are in camel case. */
export const KEYS = {
  host: {
    product: key(
      text.regex(PRODUCT_PATTERN, 'must be lower-case letters, digits and dashes, at most 32'),
      'The product whose releases this host installs. Required.',
    ),
    group: preset(
      text.regex(GROUP_PATTERN, 'must be letters, digits, dots and dashes, at most 64'),
      'default',
      'The group this host belongs to; rollouts can treat groups differently.',
    ),
    architecture: key(
      oneOf('x86-64', 'arm64'),
      'The architecture of the releases to install; by default the host’s own.',
    ),
  },
  repository: {
    url: key(httpUrl, 'The URL of the repository. Required.'),
    mirrors: preset(
      list(httpUrl, 'addresses', 16),
      [],
      'Further URLs of the same repository, tried in this order if `url` fails or serves stale or damaged files. They need not be trusted: everything is signed.',
    ),
    channel: preset(
      text.regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'must be a channel name'),
      'stable',
      'The channel to follow.',
    ),
    ca_file: key(path, 'PEM certificates to trust instead of the system’s (docs/networks.md).'),
    proxy: key(
      httpUrl,
      'The proxy, as http://[user:password@]host:port. Proxy variables in the environment are ignored.',
    ),
  },
  fleet: {
    url: key(httpUrl, 'The URL of the fleet server; none by default.'),
    token_file: preset(
      path,
      '/var/lib/tandem/token',
      'The file with the token that the fleet server requires of hosts; none is sent while it does not exist.',
    ),
    settings_prefix: key(
      text.regex(/^[\x21-\x7e]{1,200}\/$/, 'must be printable text that ends with a slash'),
      'The key prefix of the fleet’s settings in the etcd at `lock.endpoints`; none by default (docs/fleet-settings.md).',
    ),
  },
  poll: {
    schedule: preset(
      text.refine(isScheduleExpression, 'must be a cron expression: five or six fields'),
      '*/30 * * * *',
      'When to poll the repository, as a cron expression in UTC.',
    ),
    jitter_minutes: preset(whole(0, 1440), 10, 'The longest random delay added to each poll.', 'minutes'),
    backoff_minutes: preset(
      whole(1, 1440),
      1,
      'The delay after the first failure; doubled after each further one.',
      'minutes',
    ),
    backoff_limit_minutes: preset(whole(1, 10_080), 240, 'The longest delay after failures.', 'minutes'),
  },
  download: {
    connect_timeout_seconds: preset(whole(1, 600), 20, 'The time limit for connecting.', 'seconds'),
    idle_timeout_seconds: preset(whole(1, 3600), 60, 'The longest time without data from the server.', 'seconds'),
    minimum_rate_bytes: preset(
      whole(0, 1e12),
      1024,
      'A download slower than this, averaged over a minute, is aborted.',
      'bytes a second',
    ),
    rate_limit_bytes: preset(
      whole(0, 1e12),
      0,
      'The bandwidth limit for downloads, over all connections; 0 for none.',
      'bytes a second',
    ),
    connections: preset(whole(1, 16), 3, 'Parallel connections when fetching parts of a file.'),
    threads: preset(whole(1, 64), 2, 'Threads for decompression and checking.'),
  },
  slots: {
    disk: preset(pathOr('auto'), 'auto', 'The disk with the slots; “auto” is the disk of the running system.'),
    a_root: preset(label, 'root-a', 'Label of the root partition of slot a.'),
    a_verity: preset(labelOrNone, 'root-a-verity', verity('a')),
    b_root: preset(label, 'root-b', 'Label of the root partition of slot b.'),
    b_verity: preset(labelOrNone, 'root-b-verity', verity('b')),
  },
  boot: {
    backend: preset(oneOf(...BOOT_BACKENDS), 'systemd-boot', 'The boot loader, which counts the tries.'),
    esp: preset(path, '/efi', 'Mount point of the EFI system partition.'),
    grub_environment: preset(
      path,
      '/efi/EFI/tandem/grubenv',
      'The environment file in which grub.cfg keeps the flags (GRUB).',
    ),
    uboot_environment: preset(
      path,
      '/etc/fw_env.config',
      'The file that describes the location of the environment (U-Boot).',
    ),
    efi_variables: preset(
      path,
      '/sys/firmware/efi/efivars',
      'Mount point of efivarfs (EFI firmware without a boot loader).',
    ),
    tryboot_dir: preset(path, '/boot/autoboot', 'Mount point of the partition with autoboot.txt (Raspberry Pi).'),
    tryboot_a_dir: preset(path, '/boot/a', bootPartition('Mount point', 'a')),
    tryboot_b_dir: preset(path, '/boot/b', bootPartition('Mount point', 'b')),
    tryboot_a_partition: preset(whole(1, 255), 2, bootPartition('Partition number', 'a')),
    tryboot_b_partition: preset(whole(1, 255), 3, bootPartition('Partition number', 'b')),
    program: key(path, 'The program that controls the boot loader, if `boot.backend` is “program”.'),
    program_tries: preset(whole(1, 99), 1, 'The most tries that this program’s boot loader can count.'),
    tries: preset(whole(1, 9), 3, 'The number of boot attempts for a new release.'),
  },
  reboot: {
    method: preset(
      oneOf('auto', 'firmware', 'kexec', 'soft'),
      'firmware',
      'How to restart into a new release. “auto” picks the fastest safe method; when in doubt, the firmware.',
    ),
    kexec_most_in_a_row: preset(
      whole(0, 1000),
      5,
      'The number of consecutive kexec restarts after which the next one goes through the firmware.',
    ),
    firmware_flags: preset(
      list(path, 'files', 16),
      ['/run/tandem/firmware-refresh'],
      'While one of these files exists, restarts go through the firmware, so that it can refresh itself.',
    ),
    automatic: preset(
      truth,
      true,
      'Reboot into a staged release automatically; otherwise only `updatectl apply` does.',
    ),
    window: preset(
      spans('window'),
      [],
      'Tables [[reboot.window]]: when the host may reboot; at any time if empty (docs/gates.md).',
    ),
    black_out: preset(spans('black_out'), [], 'Tables [[reboot.black_out]]: when the host must not reboot.'),
    session_grace_minutes: preset(
      whole(0, 1440),
      10,
      'How long before the restart logged-in users are warned; 0 ignores them.',
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
      'Directories of programs that prepare the host for the reboot, or undo that (docs/hooks.md).',
    ),
    hook_timeout_minutes: preset(whole(1, 1440), 30, 'The time limit for each hook.', 'minutes'),
    deadline_days: preset(whole(0, 365), 0, 'Soft gates are overridden after this time; 0 for never.', 'days'),
  },
  lock: {
    kind: preset(oneOf('none', 'fleetlock', 'etcd'), 'none', 'The kind of lock that the host takes before it reboots.'),
    url: key(httpUrl, 'The URL of the FleetLock server: airlock, or the fleet server.'),
    endpoints: preset(list(httpUrl, 'addresses', 32), [], 'The client URLs of etcd, all of one cluster.'),
    group: key(
      text.regex(GROUP_PATTERN, 'must be letters, digits, dots and dashes, at most 64'),
      'The group whose lock the host takes; by default `host.group`.',
    ),
    id: key(
      text
        .regex(HOLDER_ID, 'must be one line without leading or trailing blanks, and not only dots')
        .max(LONGEST_ID, 'must be at most 255 characters'),
      'This host’s id at a FleetLock server; by default the id that Zincati derives from the machine id (docs/locks.md).',
    ),
    max: preset(
      whole(1, 1000),
      1,
      'The number of hosts that may reboot at the same time; only the first host of a group sets it.',
    ),
    max_failures: preset(
      whole(0, 1000),
      0,
      'The number of failed or overdue hosts above which no other host reboots; only the first host of a group sets it.',
    ),
    deadline_minutes: preset(
      whole(1, 10_080),
      60,
      'A host that has not released the lock after this time counts as failed.',
      'minutes',
    ),
    etcd_on_hosts: preset(
      truth,
      false,
      'The etcd members run on the rebooting hosts: a majority must stay up, and no host reboots while a member is unhealthy.',
    ),
    ca_file: key(path, 'PEM certificates to trust instead of the system’s.'),
    cert_file: key(path, 'The PEM certificate that this host presents.'),
    key_file: key(path, 'The PEM key of that certificate.'),
    user: key(
      text.regex(/^[\x21-\x7e]{1,128}$/, 'must be a user name'),
      'The user name for etcd or the FleetLock server.',
    ),
    password_file: key(path, 'The file with that user’s password.'),
  },
  health: {
    required_units: preset(list(unit, 'units', 256), [], 'Units that must be active before a release is confirmed.'),
    ignored_units: preset(list(unit, 'units', 256), [], 'Units that may fail or start late; globs are allowed.'),
    start_timeout_seconds: preset(
      whole(1, 3600),
      300,
      'The time limit for a system on trial to finish booting.',
      'seconds',
    ),
    timeout_seconds: preset(whole(1, 3600), 60, 'The time limit for each health program.', 'seconds'),
    retry_seconds: preset(
      whole(0, 3600),
      120,
      'How long a failing required probe is retried before a release is condemned (docs/health.md).',
      'seconds',
    ),
    directories: preset(
      list(path, 'folders', 16),
      [...HEALTH_DIRS],
      'Directories whose required/ and wanted/ contain health programs (docs/health.md).',
    ),
  },
  agent: {
    log_level: preset(oneOf(...LOG_LEVELS), 'info', 'The lowest level that the agent logs.'),
    log_format: preset(
      oneOf(...LOG_FORMATS),
      'text',
      'The format of log lines: text with journal priorities (`journalctl -p warning -u tandem-agent`), or JSON.',
    ),
    state_dir: preset(path, '/var/lib/tandem', 'The directory of state that must survive a power cut.'),
    runtime_dir: preset(path, '/run/tandem', 'The directory of the control socket.'),
  },
  trust: {
    root_file: preset(
      path,
      '/usr/share/tandem/root.json',
      'The root of trust in the image, on which all other trust is based.',
    ),
  },
} as const;
