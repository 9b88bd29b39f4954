/** The documents exchanged over the control socket between agent and CLI. Each has a schema number. */

import type { Disarmed, HistoryEntry, MachineId, Method, Refusal, Release, SlotName, State, Version } from './model.ts';

/** Sent by both sides in the header `tandem-protocol`; another number is refused with a message. */
export const PROTOCOL = 1;
export const PROTOCOL_HEADER = 'tandem-protocol';

/** The codes of a successful last check. */
export const WELL_CODES: ReadonlySet<string> = new Set(['up-to-date', 'staged', 'offer', 'present']);

/** A failure as shown to people and programs. */
export type Failure = Readonly<{ code: string; message: string; next: string; at: string }>;

export type SlotStatus = Readonly<{
  version?: Version;
  bootable: boolean;
  confirmed: boolean;
  triesLeft?: number;
}>;

/** `check`: the content of the free slot is compared with the release. */
export type ProgressStatus = Readonly<{ phase: 'check' | 'download' | 'read-back'; done: number; total: number }>;

/** The way a release is fetched: a patch from the running one, block by block, or the full image. */
export type TierName = 'patch' | 'blocks' | 'full';

/** The bytes that the running or last install has fetched, copied from the running system, and found in place. */
export type TransferStatus = Readonly<{
  tier: TierName;
  fetched: number;
  copied: number;
  kept: number;
  /** The bytes this tier has to fetch, from where, and for how long at the last measured rate. */
  planned?: Readonly<{ bytes: number; from: string; seconds?: number }>;
  /** The tiers available for this release, in the order of trial. */
  choices?: readonly Readonly<{ tier: TierName; bytes: number; atLeast?: true }>[];
  /** Tiers given up, with reasons. */
  fallen: readonly Readonly<{ tier: TierName; code: string }>[];
}>;

/** The restart method that would be used now, and the reasons against faster ones. */
export type RestartStatus = Readonly<{
  method: Method;
  reason: string;
  ruledOut: readonly Readonly<{ method: Method; reason: string }>[];
}>;

/** A closed gate; `overriddenBy` says why it is overridden. Times are ISO 8601 in UTC. */
export type GateStatus = Readonly<{
  code: string;
  reason: string;
  strength: 'soft' | 'hard';
  since?: string;
  next?: string;
  command?: string;
  overriddenBy?: 'apply' | 'deadline';
}>;

/** The fleet's settings for this host, from etcd. */
export type SettingsStatus = Readonly<{
  /** The prefix of their keys. */
  prefix: string;
  /** When they were last read; absent if not since the agent started, in which case the cached ones apply. */
  readAt?: string;
  /** Settings that are ignored, with reasons. */
  faults: readonly Readonly<{ code: string; message: string }>[];
  /** Keys whose new value applies when the agent next starts, between two attempts. */
  pending: readonly string[];
  /** Why they cannot be read or watched at present. */
  error?: Failure;
}>;

/** The output of `updatectl status`. Times are ISO 8601 in UTC. */
export type Status = Readonly<{
  schema: 1;
  agent: string;
  at: string;
  state: State;
  since: string;
  /** This host's id in its fleet; rollouts use it. */
  machine?: MachineId;
  group?: string;
  booted?: SlotName;
  running?: Release;
  /** The running system is confirmed. */
  confirmed?: boolean;
  slots?: Readonly<Record<SlotName, SlotStatus>>;
  /** Why nothing is being done at present. */
  waitingFor?: string;
  /** The gates closed to the reboot into the staged release. */
  gates?: readonly GateStatus[];
  /** Units that had already failed when the previous system was left; not counted against this one. */
  failedBefore?: Readonly<{ at: string; units: readonly string[] }>;
  /** The staged release had been armed, but a gate closed before the restart. */
  disarmed?: Disarmed;
  /** When soft gates are overridden. */
  rebootBy?: string;
  progress?: ProgressStatus;
  transfer?: TransferStatus;
  restart?: RestartStatus;
  /** The last attempt that restarted the machine. */
  lastRestart?: HistoryEntry & Readonly<{ method: Method }>;
  /** `code` names the result; `until`: when it may change, if known. */
  lastCheck?: Readonly<{ at: string; result: string; code?: string; until?: string }>;
  /** The last answered check since the agent started. */
  lastGoodCheck?: string;
  nextCheck?: string;
  /** When a failed action is retried; no check comes earlier. */
  nextTry?: string;
  lastError?: Failure;
  /** A lock that the host no longer needs but could not release; it continues, and retries. */
  lockOwed?: LockOwed;
  settings?: SettingsStatus;
  refused: readonly Refusal[];
  /** Set by the CLI if it read the state files itself. */
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

/** A line of the event stream. `beat` only shows that the stream is alive. */
export type AgentEvent =
  | Readonly<{ event: 'status'; status: Status }>
  | Readonly<{ event: 'progress'; progress: ProgressStatus }>
  | Readonly<{ event: 'failed'; failure: Failure }>
  | Readonly<{ event: 'beat' }>;

export type InstallRequest = Readonly<{ version?: string; from?: string; allowDowngrade?: boolean }>;
/** Drops the refusals of a version, or all; with `clock`, instead clears the time before which no clock is trusted. */
export type ForgetRequest = Readonly<{ version?: string; clock?: true }>;

/** The answer to a request: `accepted` work continues after the caller has left. */
export type Reply = Readonly<{ schema: 1; result: 'accepted' | 'done' | 'nothing'; message: string }>;

export type HistoryReply = Readonly<{ schema: 1; entries: readonly HistoryEntry[] }>;

/** The headers a host sends to its fleet server with every request: its secret, its id, and a digest that identifies the machine. */
export const SECRET_HEADER = 'tandem-secret';
export const MACHINE_HEADER = 'tandem-machine';
export const HARDWARE_HEADER = 'tandem-hardware';
/** 256 random bits. */
export const SECRET_PATTERN = /^[A-Za-z0-9_-]{43}$/;
