/** The agent's memory on disk: state, refusals, history. Readable whatever a power cut or another program left there. */

import { join } from 'node:path';
import { cleanLine } from '../../clean-text.ts';
import { asUpdateError, UpdateError } from '../../errors.ts';
import type { HistoryEntry, Outcome, Refusal, Release, Saved, State } from '../../model.ts';
import { type Files, removeTemporaries, replaceFile } from '../../system/files.ts';
import { type Format, inFormat } from '../../system/format.ts';
import type { Log } from '../../system/log.ts';
import { historyFormat, refusalsFormat, savedFormat } from './journal-format.ts';
import { type Event, INITIAL, transition } from './machine.ts';

export interface Journal {
  load(): Promise<Saved>;
  /** Saves the state that `event` leads to. Events that a full disk must not stop stay in memory until they can be written. */
  advance(saved: Saved, event: Event, now: Date): Promise<Saved>;
  /** Writes what is in memory only; throws while that fails. */
  flush(): Promise<void>;
  /** Why something is in memory only. */
  trouble(): UpdateError | undefined;
  /** Records an ended attempt and a refusal. Repeating it adds nothing. */
  report(saved: Saved, outcome: Outcome, journey?: Journey): Promise<void>;
  /** Records why the staged release is no longer armed, if it was. Repeating it adds nothing. */
  reportDisarmed(saved: Saved): Promise<void>;
  refusals(): Promise<readonly Refusal[]>;
  refuse(refusal: Refusal): Promise<void>;
  /** Forgets the refusals of one version, or all; returns how many there were. */
  forget(version: string | undefined): Promise<number>;
  /** The latest attempts, newest first. */
  history(limit: number): Promise<readonly HistoryEntry[]>;
  /** The last ended attempt. */
  lastEnded(): Promise<EndedEntry | undefined>;
}

export type EndedEntry = HistoryEntry & Readonly<{ result: Exclude<HistoryEntry['result'], 'disarmed'> }>;

/** The restart from one system to the next. */
export type Journey = Pick<HistoryEntry, 'method' | 'methodReason' | 'downtime'>;

/** Opens the memory in `dir`. */
export function openJournal(files: Files, dir: string, log: Log): Journal {
  const document = <T>(name: string, format: Format<T>) => openDocument(files, join(dir, name), log, format);
  const state = openState(document('state.json', savedFormat), log);
  const refusals = openRefusals(document('refused.json', refusalsFormat));
  const history = openHistory(document('history.jsonl', historyFormat));
  return {
    load: async () => {
      // On a read-only disk they stay, which is harmless.
      await removeTemporaries(files, dir).catch(() => undefined);
      return state.load();
    },
    advance: async (saved, said, now) => {
      const event = inFewWords(said);
      return state.save(savedAfter(saved, event, now), mayWait(event));
    },
    flush: state.flush,
    trouble: state.trouble,
    report: async (saved, outcome, journey = {}) => {
      if (outcome.result === 'none') return;
      const { downtime, ...way } = journey;
      await history.add({
        ...historyEntry(outcome, saved.since),
        ...way,
        ...(downtime && isUnbroken(outcome) ? { downtime } : {}),
      });
      if (outcome.result !== 'updated' && outcome.refuse) await refusals.add(refusal(outcome, saved.since));
    },
    reportDisarmed: async ({ state, disarmed }) => {
      if (state.kind === 'staged' && disarmed)
        await history.add({ ...disarmed, result: 'disarmed', version: state.release.version });
    },
    refusals: refusals.all,
    refuse: refusals.add,
    forget: refusals.forget,
    history: async (limit) => (await history.all()).slice(-limit).reverse(),
    lastEnded: async () => (await history.all()).findLast(isEnded),
  };
}

/** The state: kept in memory if the disk refuses it and the current step must not stop for that. */
function openState(document: Document<Saved>, log: Log) {
  let kept: Readonly<{ saved: Saved; error: UpdateError }> | undefined;
  const write = async (saved: Saved): Promise<Saved> => {
    const written = await document.write(saved);
    if (kept) log.info({}, 'the state is saved on disk again');
    kept = undefined;
    return written;
  };
  const keep = (given: Saved, error: UpdateError): Saved => {
    if (!kept) log.error({ code: error.code }, `${error.message} The state stays in memory until then.`);
    const saved = inFormat(savedFormat, given).value;
    kept = { saved, error };
    return saved;
  };
  return {
    load: async () => kept?.saved ?? (await document.read()) ?? NOTHING_SAVED,
    save: (next: Saved, mayWait: boolean): Promise<Saved> =>
      write(next).catch((error: unknown) => {
        if (mayWait && error instanceof UpdateError && error.code === 'state-unwritable') return keep(next, error);
        throw error;
      }),
    flush: async () => {
      if (kept) await write(kept.saved);
    },
    trouble: () => kept?.error,
  };
}

const NOTHING_SAVED: Saved = { state: INITIAL, since: new Date(0).toISOString(), slots: {} };

function openRefusals(document: Document<readonly Refusal[]>) {
  const all = async (): Promise<readonly Refusal[]> => (await document.read()) ?? [];
  return {
    all,
    add: async (refusal: Refusal): Promise<void> => {
      const known = await all();
      if (known.some((one) => one.version === refusal.version && one.manifest === refusal.manifest)) return;
      await document.write([...known, refusal]);
    },
    forget: async (version: string | undefined): Promise<number> => {
      const known = await all();
      const kept = version === undefined ? [] : known.filter((one) => one.version !== version);
      if (kept.length < known.length) await document.write(kept);
      return known.length - kept.length;
    },
  };
}

function openHistory(document: Document<readonly HistoryEntry[]>) {
  const all = async (): Promise<readonly HistoryEntry[]> => (await document.read()) ?? [];
  return {
    all,
    add: async (entry: HistoryEntry): Promise<void> => {
      const known = await all();
      const isKnown = known.some(
        (one) => one.at === entry.at && one.version === entry.version && one.result === entry.result,
      );
      const kept = isSameDisarming(known.at(-1), entry) ? known.slice(0, -1) : known;
      if (!isKnown) await document.write([...kept, entry]);
    },
  };
}

function savedAfter(saved: Saved, event: Event, now: Date): Saved {
  const state = transition(saved.state, event);
  const since = isSameWait(event) ? saved.since : now.toISOString();
  return { state, since, slots: recordSlots(saved, event, state), ...(disarmedBy(event, now) ?? {}) };
}

/** Whether a release is refused: by its digest, or by its version if no digest was known. */
export const isRefused = (refusals: readonly Refusal[], release: Release): Refusal | undefined =>
  refusals.find((one) =>
    one.manifest === undefined || release.manifest === undefined
      ? one.version === release.version
      : one.manifest === release.manifest,
  );

/**
 * The boot loader and the probes decide a trial; a disk that is full at that moment is not the release's fault. After
 * a power cut the same question is asked again, from the state on disk. Every other event must be on disk before the next step.
 */
export const mayWait = ({ type }: Event): boolean =>
  type === 'booted-new' || type === 'booted-other' || type === 'healthy' || type === 'unhealthy';

/** A reason from a probe or a server may have any length and any characters; it is cleaned here, where it enters. */
function inFewWords(event: Event): Event {
  if (event.type === 'left')
    return { ...event, departure: { ...event.departure, reason: cleanLine(event.departure.reason) } };
  return 'reason' in event ? { ...event, reason: cleanLine(event.reason) } : event;
}

/** Nothing ran between departure and arrival: no trial in between, with running services. */
const isUnbroken = ({ result, ...why }: Exclude<Outcome, { result: 'none' }>): boolean =>
  result === 'updated' || ('code' in why && why.code === 'boot-failed');

/** Arming and disarming do not restart the wait since the release was staged: its deadline does not move. */
const isSameWait = ({ type }: Event): boolean =>
  type === 'armed' || type === 'left' || type === 'disarmed' || type === 'hindered';

const disarmedBy = (event: Event, now: Date): Pick<Saved, 'disarmed'> | undefined =>
  event.type === 'disarmed' ? { disarmed: { at: now.toISOString(), reason: event.reason } } : undefined;

/** A gate that opens and closes all day takes one line, and does not crowd out the rest. */
const isSameDisarming = (last: HistoryEntry | undefined, entry: HistoryEntry): boolean =>
  last?.result === 'disarmed' &&
  entry.result === 'disarmed' &&
  last.version === entry.version &&
  last.reason === entry.reason;

const isEnded = (entry: HistoryEntry): entry is EndedEntry => entry.result !== 'disarmed';

/** The contents of the slots after `event`: unknown while a slot is written, its release after the read-back. */
function recordSlots(saved: Saved, event: Event, next: State): Saved['slots'] {
  if (event.type === 'started' && next.kind === 'staging') {
    const { [next.target]: _, ...kept } = saved.slots;
    return kept;
  }
  if ((event.type === 'written' || event.type === 'chosen') && next.kind === 'staged')
    return { ...saved.slots, [next.target]: next.release };
  return saved.slots;
}

type Ended = Exclude<Outcome, { result: 'none' }>;

const historyEntry = (outcome: Ended, at: string): HistoryEntry =>
  outcome.result === 'updated'
    ? { at, result: outcome.result, version: outcome.release.version }
    : { at, ...failureOf(outcome), version: outcome.release.version, code: outcome.code, reason: outcome.reason };

type Unsuccessful = Exclude<Ended, { result: 'updated' }>;

/** A refused release is to blame; a failed installation is the surroundings' fault; a trial may leave it in doubt. */
function failureOf({ result, refuse, fault }: Unsuccessful): Pick<HistoryEntry, 'result' | 'fault'> {
  if (result === 'withdrawn') return { result };
  return { result, fault: fault ?? (refuse ? 'release' : result === 'failed' ? 'surroundings' : 'doubt') };
}

const refusal = (outcome: Unsuccessful, at: string): Refusal => ({
  at,
  version: outcome.release.version,
  ...(outcome.release.manifest === undefined ? {} : { manifest: outcome.release.manifest }),
  code: outcome.code,
  reason: outcome.reason,
});

type Document<T> = Readonly<{
  /** Undefined if there is none, or if it cannot be parsed: then it is moved aside, never deleted. */
  read(): Promise<T | undefined>;
  /** Returns the value as it will be read back. */
  write(value: T): Promise<T>;
}>;

const openDocument = <T>(files: Files, path: string, log: Log, format: Format<T>): Document<T> => ({
  read: async () => {
    const bytes = await files.read(path);
    if (bytes === undefined) return undefined;
    try {
      return format.read(bytes);
    } catch (error) {
      log.warn({ path, err: asUpdateError(error).message }, 'a state file cannot be parsed; it was moved aside');
      await files.rename(path, `${path}.bad`).catch(() => {});
      return undefined;
    }
  },
  write: async (given) => {
    const { value, bytes } = inFormat(format, given);
    try {
      await replaceFile(files, path, bytes);
      return value;
    } catch (error) {
      throw new UpdateError('state-unwritable', `${path} cannot be written: ${asUpdateError(error).message}`, {
        cause: error,
      });
    }
  },
});
