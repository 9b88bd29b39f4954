/** The documents that the agent and the CLI exchange over the control socket. Every one carries its schema. */

import type { Disarmed, HistoryEntry, MachineId, Method, Refusal, Release, SlotName, State, Version } from './model.ts';

/** Sent by both sides as the header `tandem-protocol`; another number is refused with a sentence. */
export const PROTOCOL = 1;
export const PROTOCOL_HEADER = 'tandem-protocol';

/** What the last check says when nothing stands in the way. */
export const WELL_CODES: ReadonlySet<string> = new Set(['up-to-date', 'staged', 'offer', 'present']);

/** A failure as it is shown to people and programs. */
export type Failure = Readonly<{ code: string; message: string; next: string; at: string }>;

export type SlotStatus = Readonly<{
  version?: Version;
  bootable: boolean;
  confirmed: boolean;
  triesLeft?: number;
}>;

/** `check`: what lies in the free slot is compared with the release. */
export type ProgressStatus = Readonly<{ phase: 'check' | 'download' | 'read-back'; done: number; total: number }>;

/** How a release gets here: made from the running one by a patch or block by block, or as the full image. */
export type TierName = 'patch' | 'blocks' | 'full';

/** What the running or last install has fetched, copied from the running system and found in place, in bytes. */
export type TransferStatus = Readonly<{
  tier: TierName;
  fetched: number;
  copied: number;
  kept: number;
  /** What this tier has to fetch in all, from where, and how long that takes at the last measured rate. */
  planned?: Readonly<{ bytes: number; from: string; seconds?: number }>;
  /** The tiers that there are for this release, in the order in which they are tried. */
  choices?: readonly Readonly<{ tier: TierName; bytes: number; atLeast?: true }>[];
  /** Tiers that were given up, and why. */
  fallen: readonly Readonly<{ tier: TierName; code: string }>[];
}>;

/** The way by which the machine would be restarted now, and why not by a faster one. */
export type RestartStatus = Readonly<{
  method: Method;
  reason: string;
  ruledOut: readonly Readonly<{ method: Method; reason: string }>[];
}>;

/** Somebody who objects to the reboot; `overriddenBy` says why that is not heard. Times are ISO 8601 in UTC. */
export type GateStatus = Readonly<{
  code: string;
  reason: string;
  strength: 'soft' | 'hard';
  since?: string;
  next?: string;
  command?: string;
  overriddenBy?: 'apply' | 'deadline';
}>;

/** Settings that the fleet gives this host through etcd. */
export type SettingsStatus = Readonly<{
  /** The prefix of their keys. */
  prefix: string;
  /** When they were last read; not since the agent started, where it is missing: what was kept on disk counts. */
  readAt?: string;
  /** What is written there and not heeded. */
  faults: readonly Readonly<{ code: string; message: string }>[];
  /** Keys whose new value counts when the agent is started next, between two attempts. */
  pending: readonly string[];
  /** Why they cannot be read or watched now. */
  error?: Failure;
}>;

/** What `updatectl status` prints. Times are ISO 8601 in UTC. */
export type Status = Readonly<{
  schema: 1;
  agent: string;
  at: string;
  state: State;
  since: string;
  /** Who this host is to its fleet; a rollout goes by it. */
  machine?: MachineId;
  group?: string;
  booted?: SlotName;
  running?: Release;
  /** The running system is proven. */
  confirmed?: boolean;
  slots?: Readonly<Record<SlotName, SlotStatus>>;
  /** Why nothing is being done right now. */
  waitingFor?: string;
  /** Who objects to the reboot into what is staged. */
  gates?: readonly GateStatus[];
  /** Units that had failed when the system before was left; they are not held against this one. */
  failedBefore?: Readonly<{ at: string; units: readonly string[] }>;
  /** What is staged had been armed, and a gate closed before the restart. */
  disarmed?: Disarmed;
  /** When soft gates are no longer heard. */
  rebootBy?: string;
  progress?: ProgressStatus;
  transfer?: TransferStatus;
  restart?: RestartStatus;
  /** The last attempt that restarted the machine. */
  lastRestart?: HistoryEntry & Readonly<{ method: Method }>;
  /** `code` names the result; `until` is when it may be another, where that is known. */
  lastCheck?: Readonly<{ at: string; result: string; code?: string; until?: string }>;
  /** The last check that was answered, since the agent was started. */
  lastGoodCheck?: string;
  nextCheck?: string;
  /** When what has failed is tried again; no check comes before. */
  nextTry?: string;
  lastError?: Failure;
  /** A lock that the host does not need and could not give back; it goes on, and tries again. */
  lockOwed?: LockOwed;
  settings?: SettingsStatus;
  refused: readonly Refusal[];
  /** Said by the CLI when it read the state files itself. */
  offline?: true;
}>;

export type LockOwed = Readonly<{
  place: string;
  group: string;
  since: string;
  code: string;
  message: string;
  next: string;
}>;

/** One line of the event stream. `beat` only shows that the stream is alive. */
export type AgentEvent =
  | Readonly<{ event: 'status'; status: Status }>
  | Readonly<{ event: 'progress'; progress: ProgressStatus }>
  | Readonly<{ event: 'failed'; failure: Failure }>
  | Readonly<{ event: 'beat' }>;

export type InstallRequest = Readonly<{ version?: string; from?: string; allowDowngrade?: boolean }>;
/** The refusals of a version or all; with `clock`, instead of them, the time before which no clock is believed. */
export type ForgetRequest = Readonly<{ version?: string; clock?: true }>;

/** The answer to a request: `accepted` work goes on by itself, whoever asked. */
export type Reply = Readonly<{ schema: 1; result: 'accepted' | 'done' | 'nothing'; message: string }>;

export type HistoryReply = Readonly<{ schema: 1; entries: readonly HistoryEntry[] }>;

/** What a host shows to its fleet server with every request: its own secret, its id there, and a digest that says which machine it is. */
export const SECRET_HEADER = 'tandem-secret';
export const MACHINE_HEADER = 'tandem-machine';
export const HARDWARE_HEADER = 'tandem-hardware';
/** 256 random bits. */
export const SECRET_PATTERN = /^[A-Za-z0-9_-]{43}$/;
