/** The gates of this host: everything that can delay a reboot except the fleet's lock. */

import type { Config } from '../../config/config.ts';
import type { Verdict } from '../../model.ts';
import type { GateStatus, Status } from '../../protocol.ts';
import { appLocksDir, appLocksGate } from '../../reboot/gates/app-locks.ts';
import { type Combined, combine, earliest, isOverdue, type Override, rebootBy } from '../../reboot/gates/combine.ts';
import { type Closed, closed, OPEN } from '../../reboot/gates/gate.ts';
import { keptGrace } from '../../reboot/gates/grace.ts';
import { createHealthGate } from '../../reboot/gates/health.ts';
import { inhibitorsGate } from '../../reboot/gates/inhibitors.ts';
import { createSessionsGate } from '../../reboot/gates/sessions.ts';
import { createCalendar } from '../../reboot/gates/windows.ts';
import type { Clock } from '../../system/clock.ts';
import type { Files } from '../../system/files.ts';
import type { Exec } from '../../system/process/exec.ts';
import { type Applied, keptApplied, unkeptApplied } from './applied.ts';

export interface Gates {
  /** Whether an operator has asked for the reboot; survives a restart of the agent. */
  readonly applied: Applied;
  /** The host reboots without an operator. */
  isAutomatic(): boolean;
  /**
   * Asks all gates. `since`: when the release was staged; `isApplied`: an operator has asked for the reboot; `isUnderWay`: they were open,
   * and the host is being prepared, so a user who logs in now is not waited for.
   */
  ask(since: string, isApplied: boolean, isUnderWay?: boolean): Promise<Combined>;
  /** What overrides soft gates now, if anything. */
  overrides(since: string, isApplied: boolean): Override | undefined;
  /** The time until one of them may change its answer. */
  wakeMs(): number | undefined;
  /** Their last answers, while a release is waiting; `others` are further closed gates. */
  status(since: string, others: readonly Closed[]): Pick<Status, 'gates' | 'rebootBy'>;
}

/** Gates that are always open. */
export const openGates: Gates = {
  applied: unkeptApplied,
  isAutomatic: () => true,
  ask: async () => combine([]),
  overrides: (_since, isApplied) => (isApplied ? 'apply' : undefined),
  wakeMs: () => undefined,
  status: (_since, others) => (others.length > 0 ? { gates: others.map((one) => shown(one)) } : {}),
};

/** For hosts that reboot only on request. */
export const APPLY_AWAITED = closed(
  'apply-awaited',
  'hard',
  '`reboot.automatic` is false, and no operator has asked for the reboot',
  { command: 'updatectl apply' },
);

export type GatesWorld = Readonly<{
  clock: Pick<Clock, 'now'>;
  exec: Exec;
  files: Files;
  /** Judges the running system. */
  probe(): Promise<Verdict>;
}>;

/** As configured on this host. */
export function createGates(
  { reboot, agent }: Pick<Config, 'reboot' | 'agent'>,
  { clock, exec, files, probe }: GatesWorld,
  machine: string | undefined,
): Gates {
  const calendar = createCalendar(reboot.window, reboot.blackOut, machine);
  const deadline = (since: string): Date | undefined => rebootBy(new Date(since), reboot.deadlineDays);
  const graceMs = reboot.sessionGraceMinutes * MINUTE;
  const grace = keptGrace(files, agent.runtimeDir, graceMs);
  const sessions = createSessionsGate(exec, graceMs, grace);
  const health = createHealthGate(probe);
  const overrides: Gates['overrides'] = (since, isApplied) =>
    isApplied ? 'apply' : isOverdue(deadline(since), clock.now()) ? 'deadline' : undefined;
  let last: Combined = combine([]);
  let lastSince: string | undefined;
  return {
    applied: keptApplied(files, agent.runtimeDir),
    isAutomatic: () => reboot.automatic,
    overrides,
    ask: async (since, isApplied, isUnderWay = false) => {
      const now = clock.now();
      // The grace period of one release does not apply to the next.
      if (lastSince !== undefined && lastSince !== since) await grace.end();
      lastSince = since;
      const override = overrides(since, isApplied);
      const first = [
        calendar.verdict(now),
        await appLocksGate(files, appLocksDir(agent.runtimeDir), now),
        await inhibitorsGate(exec),
        reboot.requireHealth ? await health.verdict(now) : OPEN,
      ];
      // Users are warned only if they are the last obstacle.
      const isLast = override === undefined && combine(first).open;
      const people = isUnderWay ? OPEN : await sessions.verdict(now, isLast);
      last = combine([...first, people], override);
      return last;
    },
    wakeMs: () => {
      const next = earliest(last.closed);
      return next && Math.max(0, next.getTime() - clock.now().getTime());
    },
    status: (since, others) => {
      const by = deadline(since);
      const gates = [
        ...others.map((one) => shown(one)),
        ...last.closed.map((one) => shown(one)),
        ...last.overridden.map((one) => shown(one, last.override)),
      ];
      return { ...(gates.length > 0 ? { gates } : {}), ...(by ? { rebootBy: by.toISOString() } : {}) };
    },
  };
}

const MINUTE = 60_000;

const shown = (one: Closed, overriddenBy?: Combined['override']): GateStatus => ({
  code: one.code,
  reason: one.reason,
  strength: one.strength,
  ...(one.since ? { since: one.since.toISOString() } : {}),
  ...(one.next ? { next: one.next.toISOString() } : {}),
  ...(one.command ? { command: one.command } : {}),
  ...(overriddenBy ? { overriddenBy } : {}),
});
