/** Asks systemd when the running system had started, and when the stop of the previous one was requested. */

import type { Clock } from '../system/clock.ts';
import { type Exec, run } from '../system/process/exec.ts';

/** Times of the kernel's clock, in milliseconds. `leftMs`: when the previous system was left, if this kernel has seen it. */
export type Started = Readonly<{ startedMs: number; leftMs?: number }>;

/** Waits for `startedAt`; undefined after too long. Rejects with the signal's reason. */
export async function awaitStarted(
  exec: Exec,
  clock: Pick<Clock, 'sleep'>,
  signal: AbortSignal,
): Promise<Started | undefined> {
  for (let looks = 0; looks < LOOKS; looks++) {
    const found = await startedAt(exec).catch(() => undefined);
    if (found !== undefined) return found;
    await clock.sleep(1_000, signal);
  }
  return undefined;
}

/**
 * When everything that the default target waits for was up, except our own units: that target also waits for the agent and its verdict.
 * Undefined until the default target is reached.
 */
export async function startedAt(exec: Exec): Promise<Started | undefined> {
  const [target] = await show(exec, ['default.target']);
  const reached = momentOf(target, ENTERED);
  if (reached === 0) return undefined;
  const times = (await unitsBelow(exec)).map((unit) => momentOf(unit, ENTERED)).filter((time) => time <= reached);
  const left = momentOf((await show(exec, []))[0], 'ShutdownStartTimestampMonotonic');
  return { startedMs: Math.max(0, ...times) || reached, ...(left > 0 ? { leftMs: left } : {}) };
}

const LOOKS = 120;
const ENTERED = 'ActiveEnterTimestampMonotonic';
const PROPERTIES = `Id,Requires,Wants,${ENTERED},ShutdownStartTimestampMonotonic`;
/** Our own units, and those that wait for our verdict. */
const OURS = /^(tandem-.*|systemd-bless-boot\.service|boot-complete\.target)$/;
const MOST_LEVELS = 8;

type Unit = ReadonlyMap<string, string>;

/** The dependencies of the default target, level by level. */
async function unitsBelow(exec: Exec): Promise<Unit[]> {
  const seen = new Set(['default.target']);
  const units: Unit[] = [];
  let targets = ['default.target'];
  for (let level = 0; level < MOST_LEVELS && targets.length > 0; level++) {
    const pulled = (await show(exec, targets))
      .flatMap(dependencies)
      .filter((name) => !seen.has(name) && !OURS.test(name));
    for (const name of pulled) seen.add(name);
    const others = [...new Set(pulled)].filter((name) => !name.endsWith('.target'));
    if (others.length > 0) units.push(...(await show(exec, others)));
    targets = [...new Set(pulled)].filter((name) => name.endsWith('.target'));
  }
  return units;
}

const dependencies = (unit: Unit): string[] =>
  ['Requires', 'Wants'].flatMap((key) => (unit.get(key) ?? '').split(' ').filter((name) => name !== ''));

/** Without unit names, systemctl shows the service manager's own properties. */
async function show(exec: Exec, units: readonly string[]): Promise<Unit[]> {
  const args = ['show', `--property=${PROPERTIES}`, ...(units.length > 0 ? ['--', ...units] : [])];
  const said = await run(exec, 'systemctl', args, { timeoutMs: 20_000, package: 'systemd' });
  return said
    .split(/\n\n+/)
    .map(
      (block) =>
        new Map(block.split('\n').map((line) => [line.split('=', 1)[0] ?? '', line.slice(line.indexOf('=') + 1)])),
    );
}

/** systemd counts microseconds; 0 means never. */
function momentOf(unit: Unit | undefined, key: string): number {
  const microseconds = Number(unit?.get(key) ?? 0);
  return Number.isSafeInteger(microseconds) && microseconds > 0 ? microseconds / 1000 : 0;
}
