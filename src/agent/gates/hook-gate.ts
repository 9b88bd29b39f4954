/** The programs before a restart as the loop uses them: the very last gate, and undoing them when the host stays or has come back. */

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
  /** Runs the programs that have not run yet. `goes`: the host restarts in any case, so a refusal is only logged. */
  verdict(goes: boolean): Promise<GateVerdict>;
  /** An objection without running anything: a failed program rests for a while. */
  resting(): GateVerdict;
  /** Whether anything is to be undone now; an undo that has just failed is not. */
  isOwed(): Promise<boolean>;
  /** Undoes everything, the last program first. Never throws: a failure is tried again later. */
  undo(): Promise<void>;
  wakeMs(): number | undefined;
}

export type HookWorld = Readonly<{
  files: Files;
  exec: Exec;
  clock: Clock;
  log: Log;
  dirs: readonly string[];
  /** Records across power cuts which programs were started. */
  stateDir: string;
  runtimeDir: string;
  timeoutMs: number;
  signal: AbortSignal;
}>;

/** Runs no programs. */
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
        log.warn({ path, err: answer.reason }, 'the host restarts without waiting for this program');
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

/** A program that asks for more time is asked again soon; one that failed, or asked for too long, rests for a while. */
function refusal(path: string, answer: Refusal, since: Date, now: Date): GateVerdict {
  const isLong = now.getTime() - since.getTime() >= PATIENCE_MS;
  const isLater = answer.said === 'later' && !isLong;
  const next = new Date(now.getTime() + (isLater ? ASK_MS : REST_MS));
  const more = { since, next, command: `${path} do` };
  return isLater
    ? closed('hook-later', 'soft', `${path} asks for more time: ${answer.reason}`, more)
    : closed('hook-failed', 'soft', `${path} blocks the restart: ${answer.reason}`, more);
}

/** The work of programs on this host, and the part still to undo. */
function createDeeds(world: HookWorld) {
  const { clock, log } = world;
  const begun = openBegun(world.files, world.stateDir);
  const done = new Set<string>();
  let owedAt: number | undefined;
  let owed = '';

  const ask = (path: string, verb: HookVerb): Promise<HookAnswer> =>
    runHook({ ...world, output: join(world.runtimeDir, 'pre-reboot.out') }, path, verb);
  /** Recorded first: power may fail at any moment while it runs. */
  const start = async (path: string): Promise<HookAnswer> => {
    const failure = await begun.add(path).catch((error: unknown) => String(error));
    if (failure === undefined) return ask(path, 'do');
    return { said: 'failed', reason: `its start cannot be recorded: ${failure}` };
  };
  /** A program that cannot undo its work does not stop the others. */
  const takeBack = async (): Promise<readonly string[]> => {
    const failures: string[] = [];
    for (const path of (await begun.read()).toReversed()) {
      const isGone = await isNoLonger(path);
      const answer = isGone ? undefined : await ask(path, 'undo');
      if (answer !== undefined && answer.said !== 'done') failures.push(`${path}: ${answer.reason}`);
      else {
        if (isGone) log.warn({ path }, 'a program is gone that should have undone its work before a restart');
        done.delete(path);
        await begun.remove(path);
      }
    }
    return failures;
  };

  return {
    /** Runs a program unless it has run already. `fault`: why it cannot run. */
    run: async (path: string, fault: string | undefined): Promise<HookAnswer> => {
      if (done.has(path)) return { said: 'done' };
      const answer = fault === undefined ? await start(path) : ({ said: 'failed', reason: fault } as const);
      if (answer.said === 'done') done.add(path);
      return answer;
    },
    /** Whether everything is undone. Never throws. */
    undo: async (): Promise<boolean> => {
      const failure = (await takeBack().catch((error: unknown) => [String(error)])).join('; ');
      const isDone = failure === '';
      owedAt = isDone ? undefined : clock.monotonicMs() + AGAIN_MS;
      if (!isDone && failure !== owed)
        log.warn({ err: failure }, 'the work of programs before a restart cannot be undone yet');
      owed = failure;
      return isDone;
    },
    /** A program starts again: an earlier failure to undo no longer counts. */
    mayBeOwed: (): void => {
      owedAt = undefined;
    },
    isOwed: async (): Promise<boolean> => {
      if (owedAt !== undefined && clock.monotonicMs() < owedAt) return false;
      // An unreadable record shows up at the undo, which is tried again.
      return begun.read().then(
        (paths) => paths.length > 0,
        () => true,
      );
    },
    wakeMs: (): number | undefined => (owedAt === undefined ? undefined : Math.max(0, owedAt - clock.monotonicMs())),
  };
}

/** Programs run while the lock is held, so that no more hosts drain than may reboot. A failure releases it; waiting does not. */
export const lockWithHooks = (lock: LockGate, hooks: HookGate): LockGate => ({
  verdict: async (asks, goes = false) => {
    const resting = hooks.resting();
    if (!resting.ok && !goes) return resting;
    const said = await lock.verdict(asks);
    // Without the lock, perhaps lost while a program asked for more time, a host does not stay drained.
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
/** A program that asks for more time for this long has failed: other hosts wait for the lock. */
const PATIENCE_MS = 60 * 60_000;
const AGAIN_MS = 60_000;
