/** The domain types: versions, slots, manifests, releases, states and the status. */

type Brand<T, Name extends string> = T & { readonly __brand: Name };

/** A product name: lower-case letters, digits and dashes, at most 32. */
export type Product = Brand<string, 'Product'>;
/** A version as written by the publisher; ordered by `compareVersions`. */
export type Version = Brand<string, 'Version'>;
/** 64 lower-case hex digits. */
export type Sha256 = Brand<string, 'Sha256'>;
/** Derived from the machine id, never the raw one. */
export type MachineId = Brand<string, 'MachineId'>;

/** The verdict of a gate, the reboot lock or a health probe: yes, or no with a reason. `No`: additional fields of a refusal. */
export type Verdict<No extends object = object> = Readonly<{ ok: true }> | Readonly<{ ok: false; reason: string } & No>;

export const PRODUCT_PATTERN = /^[a-z0-9][a-z0-9-]{0,31}$/;
// No "+" and no "_": systemd-boot reads the first as a try counter, and our entries use the second as a separator.
export const VERSION_PATTERN = /^[0-9A-Za-z][0-9A-Za-z.~^-]{0,63}$/;
export const SHA256_PATTERN = /^[0-9a-f]{64}$/;
export const MACHINE_PATTERN = /^[0-9a-f]{32}$/;
export const GROUP_PATTERN = /^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$/;

/** The known boot loaders, by their names in `boot.backend`. Their data is in records over this type, so the compiler finds what a new one lacks. */
export const BOOT_BACKENDS = ['systemd-boot', 'grub', 'uboot', 'efi-variables', 'gpt', 'tryboot', 'program'] as const;
export type BackendName = (typeof BOOT_BACKENDS)[number];

export const SLOT_NAMES = ['a', 'b'] as const;
export type SlotName = (typeof SLOT_NAMES)[number];
export const otherSlot = (slot: SlotName): SlotName => (slot === 'a' ? 'b' : 'a');

/** The role of an image. The file system and its dm-verity tree fill two partitions of a slot; the UKI is a file on the ESP. */
export const ROLES = ['verity', 'root', 'uki'] as const;
export type Role = (typeof ROLES)[number];

/**
 * A release in the journal: enough to find, verify and refuse it. `manifest` is the digest of its manifest; it and the counter are absent
 * for a running system without any record of its installation.
 */
export type Release = Readonly<{ product: Product; version: Version; counter?: number; manifest?: Sha256 }>;

/** The restart methods: through firmware and boot loader; the kernel starts the next one; only userspace restarts. */
export const METHODS = ['firmware', 'kexec', 'soft'] as const;
export type Method = (typeof METHODS)[number];

/** When and how a system was left for the one on trial. `uptimeMs` is the kernel's clock, meaningful only within the same boot. */
export type Departure = Readonly<{ method: Method; reason: string; at: string; uptimeMs: number; bootId: string }>;

/**
 * The downtime from the stop of services to the end of the next startup. `exact`: measured by one clock; `wall`: by the wall clock;
 * `at-least`: the wall clock was set in between, and this is the time of the last kernel.
 */
export type Downtime = Readonly<{ ms: number; clock: 'exact' | 'wall' | 'at-least' }>;

/** The cause of a failed attempt. `doubt`: unknown, as after a power loss that may have been a crash. */
export const FAULTS = ['release', 'surroundings', 'doubt'] as const;
export type Fault = (typeof FAULTS)[number];

/** The outcome of an attempt. `refuse`: the release is to blame, and is not tried again until it is forgotten or superseded. */
export type Outcome =
  | Readonly<{ result: 'none' }>
  | Readonly<{ result: 'updated'; release: Release; departure?: Departure }>
  | Readonly<{
      result: 'rolled-back' | 'failed' | 'withdrawn';
      release: Release;
      code: string;
      reason: string;
      refuse: boolean;
      /** Set if `refuse` does not imply it. */
      fault?: Fault;
      departure?: Departure;
    }>;

/** The current attempt, from the first byte written until the machine leaves for it. */
export type Attempt = Readonly<{
  release: Release;
  target: SlotName;
  /** An operator named this release: the channel neither replaces nor withdraws it. */
  byHand?: true;
  /** The methods past the boot loader already used. */
  tried?: readonly Method[];
}>;

/** Seven resting places on disk, each with one next action (see `agent/machine.ts`). */
export type State =
  | Readonly<{ kind: 'settling'; outcome: Outcome }>
  | Readonly<{ kind: 'idle' }>
  | (Readonly<{
      kind: 'staging';
      attempt: number;
      /** The failure of the last interrupted attempt, if known. */
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
      /** Why the boot loader could not confirm it. */
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

/** When and why an armed release became staged again. */
export type Disarmed = Readonly<{ at: string; reason: string }>;

/** A history entry: an ended attempt, or a `disarmed` one that continues later. Times are ISO 8601 in UTC. */
export type HistoryEntry = Readonly<{
  at: string;
  result: Exclude<Outcome['result'], 'none'> | 'disarmed';
  version: Version;
  code?: string;
  reason?: string;
  /** For a failed or rolled-back attempt. */
  fault?: Fault;
  /** The restart method into the tried system, and the reasons against faster ones. */
  method?: Method;
  methodReason?: string;
  downtime?: Downtime;
}>;

/** A refused release. Without a digest (the record was lost), the version is refused. */
export type Refusal = Readonly<{ at: string; version: Version; manifest?: Sha256; code: string; reason: string }>;

/** The known content of each slot, from having written it. */
export type SlotRecord = Readonly<Partial<Record<SlotName, Release>>>;

/** state.json: the loop's state across power cuts. */
export type Saved = Readonly<{ state: State; since: string; slots: SlotRecord; disarmed?: Disarmed }>;
