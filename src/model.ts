/** The nouns: what a version, a slot, a manifest, a release, a state and a status are. */

type Brand<T, Name extends string> = T & { readonly __brand: Name };

/** A product name: lower-case letters, digits and dashes, at most 32. */
export type Product = Brand<string, 'Product'>;
/** A version as the publisher wrote it; ordered by `compareVersions`. */
export type Version = Brand<string, 'Version'>;
/** 64 lower-case hex digits. */
export type Sha256 = Brand<string, 'Sha256'>;
/** Derived from the machine id, never the raw one. */
export type MachineId = Brand<string, 'MachineId'>;

/** Yes, or no with the reason: what gates, the reboot lock and health probes say. `No` is what a refusal says besides. */
export type Verdict<No extends object = object> = Readonly<{ ok: true }> | Readonly<{ ok: false; reason: string } & No>;

export const PRODUCT_PATTERN = /^[a-z0-9][a-z0-9-]{0,31}$/;
// No "+" and no "_": systemd-boot reads the first as a try counter, and our entries use the second as a separator.
export const VERSION_PATTERN = /^[0-9A-Za-z][0-9A-Za-z.~^-]{0,63}$/;
export const SHA256_PATTERN = /^[0-9a-f]{64}$/;
export const MACHINE_PATTERN = /^[0-9a-f]{32}$/;
export const GROUP_PATTERN = /^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$/;

/** The boot loaders that are known, as `boot.backend` names them. Records over this say what each needs, so another one is found by the compiler. */
export const BOOT_BACKENDS = ['systemd-boot', 'grub', 'uboot', 'efi-variables', 'gpt', 'tryboot', 'program'] as const;
export type BackendName = (typeof BOOT_BACKENDS)[number];

export const SLOT_NAMES = ['a', 'b'] as const;
export type SlotName = (typeof SLOT_NAMES)[number];
export const otherSlot = (slot: SlotName): SlotName => (slot === 'a' ? 'b' : 'a');

/** What an image is for. The file system and its dm-verity tree fill two partitions of a slot; the UKI is a file on the ESP. */
export const ROLES = ['verity', 'root', 'uki'] as const;
export type Role = (typeof ROLES)[number];

/**
 * A release as the journal remembers it: enough to find, verify and refuse it. `manifest` is the digest of its manifest; it and
 * the counter are unknown (absent) for a system that was found running without any record of how it got there.
 */
export type Release = Readonly<{ product: Product; version: Version; counter?: number; manifest?: Sha256 }>;

/** How a machine is restarted: through firmware and boot loader; by a kernel that starts the next; only what runs above the kernel. */
export const METHODS = ['firmware', 'kexec', 'soft'] as const;
export type Method = (typeof METHODS)[number];

/** When and how a system was left for the one on trial. `uptimeMs` is the kernel's own clock, and says something only to the same boot. */
export type Departure = Readonly<{ method: Method; reason: string; at: string; uptimeMs: number; bootId: string }>;

/**
 * How long nothing ran, from the moment services were told to stop to the moment the next system had started. `exact`: one clock saw
 * both; `wall`: the wall clock did; `at-least`: the wall clock was set meanwhile, and this is how long the last kernel took.
 */
export type Downtime = Readonly<{ ms: number; clock: 'exact' | 'wall' | 'at-least' }>;

/** Whose fault it is that an attempt failed. `doubt`: nobody can tell, as after a loss of power that may have been a crash. */
export const FAULTS = ['release', 'surroundings', 'doubt'] as const;
export type Fault = (typeof FAULTS)[number];

/** How an attempt ended. `refuse`: the release is to blame and is not tried again until it is forgotten or superseded. */
export type Outcome =
  | Readonly<{ result: 'none' }>
  | Readonly<{ result: 'updated'; release: Release; departure?: Departure }>
  | Readonly<{
      result: 'rolled-back' | 'failed' | 'withdrawn';
      release: Release;
      code: string;
      reason: string;
      refuse: boolean;
      /** Said where `refuse` does not tell. */
      fault?: Fault;
      departure?: Departure;
    }>;

/** What is being tried, from the first byte written until the machine leaves for it. */
export type Attempt = Readonly<{
  release: Release;
  target: SlotName;
  /** An operator has named it: what the channel says meanwhile neither replaces it nor takes it back. */
  byHand?: true;
  /** Methods past the boot loader that were used up. */
  tried?: readonly Method[];
}>;

/** Seven resting places on disk, each with one next action (see `agent/machine.ts`). */
export type State =
  | Readonly<{ kind: 'settling'; outcome: Outcome }>
  | Readonly<{ kind: 'idle' }>
  | (Readonly<{
      kind: 'staging';
      attempt: number;
      /** What the last attempt that was cut short met, where that is known. */
      stumbled?: Readonly<{ code: string; reason: string }>;
    }> &
      Attempt)
  | (Readonly<{ kind: 'staged' }> & Attempt)
  | (Readonly<{ kind: 'armed'; bootId: string; departure?: Departure }> & Attempt)
  | Readonly<{
      kind: 'trial';
      release: Release;
      target: SlotName;
      departure?: Departure;
      /** Why the boot loader could not be told that it is healthy. */
      hindered?: Readonly<{ code: string; reason: string }>;
    }>
  | Readonly<{
      kind: 'condemned';
      release: Release;
      target: SlotName;
      code: string;
      reason: string;
      departure?: Departure;
    }>;

export const STATE_KINDS = [
  'settling',
  'idle',
  'staging',
  'staged',
  'armed',
  'trial',
  'condemned',
] as const satisfies readonly State['kind'][];
export type StateKind = (typeof STATE_KINDS)[number];

/** When and why a release that was armed is only staged again. */
export type Disarmed = Readonly<{ at: string; reason: string }>;

/** One ended attempt, as the history keeps it, or one that was `disarmed` and goes on later. Times are ISO 8601 in UTC. */
export type HistoryEntry = Readonly<{
  at: string;
  result: Exclude<Outcome['result'], 'none'> | 'disarmed';
  version: Version;
  code?: string;
  reason?: string;
  /** Of one that failed or was rolled back. */
  fault?: Fault;
  /** How the machine came to the system that was tried, and why not faster. */
  method?: Method;
  methodReason?: string;
  downtime?: Downtime;
}>;

/** A release that is not tried again. Without a digest (the record was lost) the version alone is refused. */
export type Refusal = Readonly<{ at: string; version: Version; manifest?: Sha256; code: string; reason: string }>;

/** What is known of each slot's content from having written it. */
export type SlotRecord = Readonly<Partial<Record<SlotName, Release>>>;

/** state.json: what the loop must find again after a power cut. */
export type Saved = Readonly<{ state: State; since: string; slots: SlotRecord; disarmed?: Disarmed }>;
