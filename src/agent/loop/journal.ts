/** The agent's memory on disk: state, refusals, history. Readable whatever a power cut or a stranger left there. */

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
  /** Saves where `event` leads from `saved.state`. What a full disk must not stop is kept until it can be written. */
  advance(saved: Saved, event: Event, now: Date): Promise<Saved>;
  /** Writes what is kept; throws while that cannot be. */
  flush(): Promise<void>;
  /** Why something is kept. */
  trouble(): UpdateError | undefined;
  /** Writes an ended attempt down and remembers a refusal. Repeating it adds nothing. */
  report(saved: Saved, outcome: Outcome, journey?: Journey): Promise<void>;
  /** Writes down why what is staged is not armed any more, if it was. Repeating it adds nothing. */
  reportDisarmed(saved: Saved): Promise<void>;
  refusals(): Promise<readonly Refusal[]>;
  refuse(refusal: Refusal): Promise<void>;
  /** Forgets the refusals of one version, or all; returns how many there were. */
  forget(version: string | undefined): Promise<number>;
  /** The latest attempts, newest first. */
  history(limit: number): Promise<readonly HistoryEntry[]>;
  /** The latest that has ended. */
  lastEnded(): Promise<EndedEntry | undefined>;
}

export type EndedEntry = HistoryEntry & Readonly<{ result: Exclude<HistoryEntry['result'], 'disarmed'> }>;

/** How the machine got from one system to the next. */
export type Journey = Pick<HistoryEntry, 'method' | 'methodReason' | 'downtime'>;

/** Opens the memory that lies in `dir`. */
export function openJournal(files: Files, dir: string, log: Log): Journal {
  const document = <T>(name: string, format: Format<T>) => openDocument(files, join(dir, name), log, format);
  const state = openState(document('state.json', savedFormat), log);
  const refusals = openRefusals(document('refused.json', refusalsFormat));
  const history = openHistory(document('history.jsonl', historyFormat));
  return {
    load: async () => {
      // On a disk that is read-only they stay, and harm nobody.
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

/** The state: kept in memory where the disk does not take it and that must not stop what is under way. */
function openState(document: Document<Saved>, log: Log) {
  let kept: Readonly<{ saved: Saved; error: UpdateError }> | undefined;
  const write = async (saved: Saved): Promise<Saved> => {
    const written = await document.write(saved);
    if (kept) log.info({}, 'the state is on disk again');
    kept = undefined;
    return written;
  };
  const keep = (given: Saved, error: UpdateError): Saved => {
    if (!kept) log.error({ code: error.code }, `${error.message} The state is kept in memory until it can be.`);
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

/** Whether a release is refused: by its digest, or by its version where no digest was known. */
export const isRefused = (refusals: readonly Refusal[], release: Release): Refusal | undefined =>
  refusals.find((one) =>
    one.manifest === undefined || release.manifest === undefined
      ? one.version === release.version
      : one.manifest === release.manifest,
  );

/**
 * What a trial comes to is decided by the boot loader and the probes; a disk that is full at that moment is no fault of the release. After
 * a power cut the same question is asked again, from what is on disk. All else must be there before the next step is taken.
 */
export const mayWait = ({ type }: Event): boolean =>
  type === 'booted-new' || type === 'booted-other' || type === 'healthy' || type === 'unhealthy';

/** Whoever gives a reason, a probe or a server, may do so at any length and in any characters; this is where it comes in. */
function inFewWords(event: Event): Event {
  if (event.type === 'left')
    return { ...event, departure: { ...event.departure, reason: cleanLine(event.departure.reason) } };
  return 'reason' in event ? { ...event, reason: cleanLine(event.reason) } : event;
}

/** Nothing ran from the departure to the arrival: no trial came between, whose services did. */
const isUnbroken = ({ result, ...why }: Exclude<Outcome, { result: 'none' }>): boolean =>
  result === 'updated' || ('code' in why && why.code === 'boot-failed');

/** A release that is armed, and perhaps disarmed again, has waited since it was staged: its deadline does not move. */
const isSameWait = ({ type }: Event): boolean =>
  type === 'armed' || type === 'left' || type === 'disarmed' || type === 'hindered';

const disarmedBy = (event: Event, now: Date): Pick<Saved, 'disarmed'> | undefined =>
  event.type === 'disarmed' ? { disarmed: { at: now.toISOString(), reason: event.reason } } : undefined;

/** A gate that opens and closes all day takes one line, not the place of everything else. */
const isSameDisarming = (last: HistoryEntry | undefined, entry: HistoryEntry): boolean =>
  last?.result === 'disarmed' &&
  entry.result === 'disarmed' &&
  last.version === entry.version &&
  last.reason === entry.reason;

const isEnded = (entry: HistoryEntry): entry is EndedEntry => entry.result !== 'disarmed';

/** What the slots hold after `event`: nothing known while one is written, its release once it has been read back. */
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

/** Who may refuse a release knows that it is to blame; what could not be installed was kept from it; of a trial nobody may be able to tell. */
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
  /** Undefined where there is none, or none that can be understood: that is moved aside, never deleted. */
  read(): Promise<T | undefined>;
  /** Answers what is read of it from now on. */
  write(value: T): Promise<T>;
}>;

const openDocument = <T>(files: Files, path: string, log: Log, format: Format<T>): Document<T> => ({
  read: async () => {
    const bytes = await files.read(path);
    if (bytes === undefined) return undefined;
    try {
      return format.read(bytes);
    } catch (error) {
      log.warn({ path, err: asUpdateError(error).message }, 'a state file cannot be understood; it was moved aside');
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
