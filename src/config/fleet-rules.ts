/** Which settings the fleet may set through etcd, and why not the others. */

import { KEYS } from './keys.ts';

type Keys = typeof KEYS;

/** The path of a key, `section.name`. */
export type KeyPath = { [S in keyof Keys]: `${S & string}.${keyof Keys[S] & string}` }[keyof Keys];

/** `live`: takes effect immediately; `start`: when the agent starts; otherwise the reason why only files may set it. */
export type FleetRule = 'live' | 'start' | LocalReason;

/** Why a key may be set in files only; continues “because it …”. */
export const LOCAL_REASONS = {
  what: 'decides what is installed',
  trust: 'decides what is trusted',
  proof: 'decides whether a release is healthy',
  server: 'names a server or its credentials',
  program: 'decides which programs run',
  machine: 'is specific to this machine',
  lock: 'is stored with the lock itself: `updatectl lock set-max`',
} as const;

export type LocalReason = keyof typeof LOCAL_REASONS;

/** Exhaustive: a key without a rule does not compile. */
export const FLEET_RULES: Readonly<Record<KeyPath, FleetRule>> = {
  'host.product': 'what',
  'host.group': 'start',
  'host.architecture': 'what',
  'repository.url': 'server',
  'repository.mirrors': 'server',
  'repository.channel': 'what',
  'repository.ca_file': 'trust',
  'repository.proxy': 'server',
  'fleet.url': 'server',
  'fleet.token_file': 'server',
  'fleet.settings_prefix': 'server',
  'poll.schedule': 'start',
  'poll.jitter_minutes': 'start',
  'poll.backoff_minutes': 'start',
  'poll.backoff_limit_minutes': 'start',
  'download.connect_timeout_seconds': 'machine',
  'download.idle_timeout_seconds': 'machine',
  'download.minimum_rate_bytes': 'machine',
  'download.rate_limit_bytes': 'start',
  'download.connections': 'start',
  'download.threads': 'machine',
  'slots.disk': 'machine',
  'slots.a_root': 'machine',
  'slots.a_verity': 'machine',
  'slots.b_root': 'machine',
  'slots.b_verity': 'machine',
  'boot.backend': 'machine',
  'boot.esp': 'machine',
  'boot.grub_environment': 'machine',
  'boot.uboot_environment': 'machine',
  'boot.efi_variables': 'machine',
  'boot.tryboot_dir': 'machine',
  'boot.tryboot_a_dir': 'machine',
  'boot.tryboot_b_dir': 'machine',
  'boot.tryboot_a_partition': 'machine',
  'boot.tryboot_b_partition': 'machine',
  'boot.program': 'program',
  'boot.program_tries': 'machine',
  'boot.tries': 'proof',
  'reboot.method': 'machine',
  'reboot.kexec_most_in_a_row': 'machine',
  'reboot.firmware_flags': 'machine',
  'reboot.automatic': 'live',
  'reboot.window': 'live',
  'reboot.black_out': 'live',
  'reboot.session_grace_minutes': 'live',
  'reboot.require_health': 'live',
  'reboot.hook_directories': 'program',
  'reboot.hook_timeout_minutes': 'program',
  'reboot.deadline_days': 'live',
  'lock.kind': 'server',
  'lock.url': 'server',
  'lock.endpoints': 'server',
  'lock.group': 'start',
  'lock.id': 'machine',
  'lock.max': 'lock',
  'lock.max_failures': 'lock',
  'lock.deadline_minutes': 'start',
  'lock.etcd_on_hosts': 'server',
  'lock.ca_file': 'trust',
  'lock.cert_file': 'server',
  'lock.key_file': 'server',
  'lock.user': 'server',
  'lock.password_file': 'server',
  'health.required_units': 'proof',
  'health.ignored_units': 'proof',
  'health.start_timeout_seconds': 'proof',
  'health.timeout_seconds': 'proof',
  'health.retry_seconds': 'proof',
  'health.directories': 'program',
  'agent.log_level': 'machine',
  'agent.log_format': 'machine',
  'agent.state_dir': 'machine',
  'agent.runtime_dir': 'machine',
  'trust.root_file': 'trust',
};

/** The keys that etcd may set. */
export const FLEET_TABLE = Object.fromEntries(
  Object.entries(KEYS).map(([section, keys]) => [
    section,
    Object.fromEntries(Object.entries(keys).filter(([name]) => localReason(`${section}.${name}`) === undefined)),
  ]),
);

/** Why a key may be set in files only; undefined if the fleet may set it, or if there is no such key. */
export function localReason(path: string): string | undefined {
  const rule = ruleOf(path);
  return rule === undefined || rule === 'live' || rule === 'start' ? undefined : LOCAL_REASONS[rule];
}

/** Whether a key takes effect only when the agent starts. */
export const appliesAtStart = (path: string): boolean => ruleOf(path) === 'start';

function ruleOf(path: string): FleetRule | undefined {
  return Object.hasOwn(FLEET_RULES, path) ? FLEET_RULES[path as KeyPath] : undefined;
}
