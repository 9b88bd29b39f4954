/** The programs before a restart as the loop uses them: the very last gate, and what is owed when the host stays or has come back. */

import { join } from 'node:path';
import { closed, OPEN, type Verdict } from '../reboot/gates/gate.ts';
import { type HookAnswer, type HookVerb, runHook } from '../reboot/gates/hooks.ts';
import { isNoLonger, programsIn } from '../reboot/program-folders.ts';
import type { Clock } from '../system/clock.ts';
import type { Exec } from '../system/exec.ts';
import type { Files } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import { openBegun } from './hooks-begun.ts';
import type { LockGate } from './lock-gate.ts';

export interface HookGate {
  /** Runs what has not been run yet. `goes`: the host leaves whatever they say, so a refusal is only logged. */
  verdict(goes: boolean): Promise<Verdict>;
  /** What objects without running anything: who has failed rests for a while. */
  resting(): Verdict;
  /** Whether anything was begun that is to be taken back now; what has just failed to be is not. */
  isOwed(): Promise<boolean>;
  /** Takes everything back, the last first. Never throws: what fails is owed. */
  undo(): Promise<void>;
  wakeMs(): number | undefined;
}

export type HookWorld = Readonly<{
  files: Files;
  exec: Exec;
  clock: Clock;
  log: Log;
  dirs: readonly string[];
  /** Remembers across power cuts what was begun. */
  stateDir: string;
  runtimeDir: string;
  timeoutMs: number;
  signal: AbortSignal;
}>;

/** Where no programs are run. */
export const noHooks: HookGate = {
  verdict: async () => OPEN,
  resting: () => OPEN,
  isOwed: async () => false,
  undo: async () => {},
  wakeMs: () => undefined,
};

export function hookGate(world: HookWorld): HookGate {
  const { files, clock, log } = world;
  const begun = openBegun(files, world.stateDir);
  const done = new Set<string>();
  let last: Verdict = OPEN;
  let waitingSince: Date | undefined;
  let owedAt: number | undefined;
  let owed = '';

  const run = (path: string, verb: HookVerb): Promise<HookAnswer> =>
    runHook({ ...world, output: join(world.runtimeDir, 'pre-reboot.out') }, path, verb);

  /** What cannot take back what it did keeps no other from it. */
  const takeBack = async (): Promise<readonly string[]> => {
    const failures: string[] = [];
    for (const path of (await begun.read()).toReversed()) {
      const isGone = await isNoLonger(path);
      const answer = isGone ? undefined : await run(path, 'undo');
      if (answer !== undefined && answer.said !== 'done') failures.push(`${path}: ${answer.reason}`);
      else {
        if (isGone) log.warn({ path }, 'a program is gone that should have taken back what it did before a restart');
        done.delete(path);
        await begun.remove(path);
      }
    }
    return failures;
  };
  const undo = async (): Promise<void> => {
    const failure = (await takeBack().catch((error: unknown) => [String(error)])).join('; ');
    owedAt = failure === '' ? undefined : clock.monotonicMs() + AGAIN_MS;
    if (failure === '') waitingSince = undefined;
    else if (failure !== owed) log.warn({ err: failure }, 'what was done before a restart cannot be taken back yet');
    owed = failure;
  };
  /** Written down first: power may fail at any moment of it. */
  const start = async (path: string): Promise<HookAnswer> => {
    const failure = await begun.add(path).catch((error: unknown) => String(error));
    if (failure === undefined) return run(path, 'do');
    return { said: 'failed', reason: `that it begins cannot be written down: ${failure}` };
  };

  const refused = (path: string, answer: Exclude<HookAnswer, { said: 'done' }>): Verdict => {
    const now = clock.now();
    waitingSince ??= now;
    const isLong = now.getTime() - waitingSince.getTime() >= PATIENCE_MS;
    const isLater = answer.said === 'later' && !isLong;
    const next = new Date(now.getTime() + (isLater ? ASK_MS : REST_MS));
    const more = { since: waitingSince, next, command: `${path} do` };
    return isLater
      ? closed('hook-later', 'soft', `${path} asks for more time: ${answer.reason}`, more)
      : closed('hook-failed', 'soft', `${path} has not let the host go: ${answer.reason}`, more);
  };

  return {
    resting: () => (last.open || last.code === 'hook-later' || isPast(last.next, clock.now()) ? OPEN : last),
    verdict: async (goes) => {
      last = OPEN;
      owedAt = undefined;
      for (const { path, fault } of await programsIn(files, world.dirs)) {
        if (done.has(path)) continue;
        const answer = fault === undefined ? await start(path) : ({ said: 'failed', reason: fault } as const);
        if (answer.said === 'done') done.add(path);
        else if (goes) log.warn({ path, err: answer.reason }, 'the host leaves without waiting for it');
        else {
          last = refused(path, answer);
          break;
        }
      }
      return last;
    },
    isOwed: async () => {
      if (owedAt !== undefined && clock.monotonicMs() < owedAt) return false;
      // What cannot be read is found out by taking it back, which is tried again.
      return begun.read().then(
        (paths) => paths.length > 0,
        () => true,
      );
    },
    undo: async () => {
      if (!last.open && last.code === 'hook-later') last = OPEN;
      await undo();
    },
    wakeMs: () => {
      if (owedAt !== undefined) return Math.max(0, owedAt - clock.monotonicMs());
      return last.open || !last.next ? undefined : Math.max(0, last.next.getTime() - clock.now().getTime());
    },
  };
}

/** Programs run while the lock is held, so that only as many hosts drain as may reboot. A failure gives it back; waiting does not. */
export const lockWithHooks = (lock: LockGate, hooks: HookGate): LockGate => ({
  verdict: async (asks, goes = false) => {
    const resting = hooks.resting();
    if (!resting.open && !goes) return resting;
    const said = await lock.verdict(asks);
    // Without the lock, lost perhaps while a program asked for more time, a host does not stay drained.
    if (!said.open && asks && (await hooks.isOwed())) await hooks.undo();
    if (!said.open || !asks) return said;
    const last = await hooks.verdict(goes);
    if (!last.open && last.code === 'hook-failed') {
      await hooks.undo();
      await lock.giveBack();
    }
    return last;
  },
  take: lock.take,
  giveBack: async (outcome) => {
    await hooks.undo();
    await lock.giveBack(outcome);
  },
  lookAfter: lock.lookAfter,
  wakeMs: () => {
    const times = [lock.wakeMs(), hooks.wakeMs()].filter((one) => one !== undefined);
    return times.length > 0 ? Math.min(...times) : undefined;
  },
});

const isPast = (time: Date | undefined, now: Date): boolean => time === undefined || now >= time;

const ASK_MS = 60_000;
const REST_MS = 10 * 60_000;
/** Whoever asks for more time for so long has failed: others wait for the lock. */
const PATIENCE_MS = 60 * 60_000;
const AGAIN_MS = 60_000;
