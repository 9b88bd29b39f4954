/** The programs before a restart as the loop uses them: the very last gate, and what is owed when the host stays or has come back. */

import { join } from 'node:path';
import { closed, type GateVerdict, OPEN } from '../../reboot/gates/gate.ts';
import { type HookAnswer, type HookVerb, runHook } from '../../reboot/gates/hooks.ts';
import { isNoLonger, programsIn } from '../../reboot/program-folders.ts';
import type { Clock } from '../../system/clock.ts';
import type { Files } from '../../system/files.ts';
import type { Log } from '../../system/log.ts';
import type { Exec } from '../../system/process/exec.ts';
import { openBegun } from './hooks-begun.ts';
import type { LockGate } from './lock-gate.ts';

export interface HookGate {
  /** Runs what has not been run yet. `goes`: the host leaves whatever they say, so a refusal is only logged. */
  verdict(goes: boolean): Promise<GateVerdict>;
  /** What objects without running anything: who has failed rests for a while. */
  resting(): GateVerdict;
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
  const deeds = createDeeds(world);
  let last: GateVerdict = OPEN;
  let waitingSince: Date | undefined;

  const refused = (path: string, answer: Refusal): GateVerdict => {
    waitingSince ??= clock.now();
    return refusal(path, answer, waitingSince, clock.now());
  };
  return {
    resting: () => (last.ok || last.code === 'hook-later' || isPast(last.next, clock.now()) ? OPEN : last),
    verdict: async (goes) => {
      last = OPEN;
      deeds.mayBeOwed();
      for (const { path, fault } of await programsIn(files, world.dirs)) {
        const answer = await deeds.run(path, fault);
        if (answer.said === 'done') continue;
        if (!goes) {
          last = refused(path, answer);
          break;
        }
        log.warn({ path, err: answer.reason }, 'the host leaves without waiting for it');
      }
      return last;
    },
    isOwed: deeds.isOwed,
    undo: async () => {
      if (!last.ok && last.code === 'hook-later') last = OPEN;
      if (await deeds.undo()) waitingSince = undefined;
    },
    wakeMs: () => {
      const owedMs = deeds.wakeMs();
      if (owedMs !== undefined) return owedMs;
      return last.ok || !last.next ? undefined : Math.max(0, last.next.getTime() - clock.now().getTime());
    },
  };
}

type Refusal = Exclude<HookAnswer, { said: 'done' }>;

/** Who asks for more time is asked again soon; who has failed, or has asked for too long, rests for a while. */
function refusal(path: string, answer: Refusal, since: Date, now: Date): GateVerdict {
  const isLong = now.getTime() - since.getTime() >= PATIENCE_MS;
  const isLater = answer.said === 'later' && !isLong;
  const next = new Date(now.getTime() + (isLater ? ASK_MS : REST_MS));
  const more = { since, next, command: `${path} do` };
  return isLater
    ? closed('hook-later', 'soft', `${path} asks for more time: ${answer.reason}`, more)
    : closed('hook-failed', 'soft', `${path} has not let the host go: ${answer.reason}`, more);
}

/** What programs have done here, and what of it is to be taken back. */
function createDeeds(world: HookWorld) {
  const { clock, log } = world;
  const begun = openBegun(world.files, world.stateDir);
  const done = new Set<string>();
  let owedAt: number | undefined;
  let owed = '';

  const ask = (path: string, verb: HookVerb): Promise<HookAnswer> =>
    runHook({ ...world, output: join(world.runtimeDir, 'pre-reboot.out') }, path, verb);
  /** Written down first: power may fail at any moment of it. */
  const start = async (path: string): Promise<HookAnswer> => {
    const failure = await begun.add(path).catch((error: unknown) => String(error));
    if (failure === undefined) return ask(path, 'do');
    return { said: 'failed', reason: `that it begins cannot be written down: ${failure}` };
  };
  /** What cannot take back what it did keeps no other from it. */
  const takeBack = async (): Promise<readonly string[]> => {
    const failures: string[] = [];
    for (const path of (await begun.read()).toReversed()) {
      const isGone = await isNoLonger(path);
      const answer = isGone ? undefined : await ask(path, 'undo');
      if (answer !== undefined && answer.said !== 'done') failures.push(`${path}: ${answer.reason}`);
      else {
        if (isGone) log.warn({ path }, 'a program is gone that should have taken back what it did before a restart');
        done.delete(path);
        await begun.remove(path);
      }
    }
    return failures;
  };

  return {
    /** Runs one that has not been run yet. `fault`: it cannot be. */
    run: async (path: string, fault: string | undefined): Promise<HookAnswer> => {
      if (done.has(path)) return { said: 'done' };
      const answer = fault === undefined ? await start(path) : ({ said: 'failed', reason: fault } as const);
      if (answer.said === 'done') done.add(path);
      return answer;
    },
    /** Whether all is taken back. Never throws. */
    undo: async (): Promise<boolean> => {
      const failure = (await takeBack().catch((error: unknown) => [String(error)])).join('; ');
      const isDone = failure === '';
      owedAt = isDone ? undefined : clock.monotonicMs() + AGAIN_MS;
      if (!isDone && failure !== owed)
        log.warn({ err: failure }, 'what was done before a restart cannot be taken back yet');
      owed = failure;
      return isDone;
    },
    /** Something is begun again: a failure to take it back before says nothing of it. */
    mayBeOwed: (): void => {
      owedAt = undefined;
    },
    isOwed: async (): Promise<boolean> => {
      if (owedAt !== undefined && clock.monotonicMs() < owedAt) return false;
      // What cannot be read is found out by taking it back, which is tried again.
      return begun.read().then(
        (paths) => paths.length > 0,
        () => true,
      );
    },
    wakeMs: (): number | undefined => (owedAt === undefined ? undefined : Math.max(0, owedAt - clock.monotonicMs())),
  };
}

/** Programs run while the lock is held, so that only as many hosts drain as may reboot. A failure gives it back; waiting does not. */
export const lockWithHooks = (lock: LockGate, hooks: HookGate): LockGate => ({
  verdict: async (asks, goes = false) => {
    const resting = hooks.resting();
    if (!resting.ok && !goes) return resting;
    const said = await lock.verdict(asks);
    // Without the lock, lost perhaps while a program asked for more time, a host does not stay drained.
    if (!said.ok && asks && (await hooks.isOwed())) await hooks.undo();
    if (!said.ok || !asks) return said;
    const last = await hooks.verdict(goes);
    if (!last.ok && last.code === 'hook-failed') {
      await hooks.undo();
      await lock.giveBack();
    }
    return last;
  },
  isHeld: lock.isHeld,
  take: lock.take,
  giveBack: async (outcome) => {
    await hooks.undo();
    await lock.giveBack(outcome);
  },
  lookAfter: lock.lookAfter,
  owed: lock.owed,
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
