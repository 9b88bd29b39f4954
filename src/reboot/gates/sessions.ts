/** The gate of logged-in users: they are warned, and have time to finish or to ask for more. */

import { cleanLine } from '../../clean-text.ts';
import type { Exec } from '../../system/process/exec.ts';
import { closed, type GateVerdict, OPEN } from './gate.ts';
import type { Grace } from './grace.ts';

/** A logged-in user and place: `ana`, `tty1`. `isIdle`: logind has seen no activity for a while. */
export type Session = Readonly<{ user: string; where: string; isIdle: boolean }>;

export interface SessionsGate {
  /** `isLast`: no other gate is closed, so the grace period starts now, unless it is running. */
  verdict(now: Date, isLast: boolean): Promise<GateVerdict>;
}

/** The grace period runs once: users who log in later join it. It restarts if another gate has closed in between. */
export function createSessionsGate(exec: Exec, graceMs: number, grace: Grace): SessionsGate {
  return {
    verdict: async (now, isLast) => {
      const warnedAt = await grace.warnedAt(now);
      const found = graceMs > 0 ? await readSessions(exec) : [];
      // A warned user may leave the keyboard alone for the rest of the grace period.
      const sessions = warnedAt ? found : found.filter(({ isIdle }) => !isIdle);
      if (sessions.length === 0 || !isLast) {
        await grace.end();
        return sessionsVerdict(sessions, undefined, graceMs, now);
      }
      if (warnedAt === undefined) {
        await broadcast(exec, graceMs);
        await grace.begin(now);
      }
      return sessionsVerdict(sessions, warnedAt ?? now, graceMs, now);
    },
  };
}

/** Pure. `warnedAt`: when the users were warned. */
export function sessionsVerdict(
  sessions: readonly Session[],
  warnedAt: Date | undefined,
  graceMs: number,
  now: Date,
): GateVerdict {
  const [first, ...rest] = sessions;
  if (!first) return OPEN;
  const until = warnedAt && new Date(warnedAt.getTime() + graceMs);
  if (until && now >= until) return OPEN;
  const more = rest.length > 0 ? `, and ${rest.length} more` : '';
  const reason = `${first.user} is logged in on ${first.where}${more}`;
  const times = warnedAt && until ? { since: warnedAt, next: until } : {};
  return closed('users-logged-in', 'soft', reason, { ...times, command: 'updatectl apply' });
}

/** Asks logind for human sessions; none if it does not respond. Excludes greeters, lock screens, service managers, jobs and ended sessions. */
export async function readSessions(exec: Exec): Promise<readonly Session[]> {
  const rows = rowsOf(await busctl(exec, ['call', LOGIND, MANAGER, `${LOGIND}.Manager`, 'ListSessions']));
  const found = await Promise.all(rows.slice(0, MOST).map((row) => readSession(exec, row)));
  return found.filter((one) => one !== undefined);
}

const LOGIND = 'org.freedesktop.login1';
const MANAGER = '/org/freedesktop/login1';
const MOST = 64;

/** A row: session number, user id and name, seat, session object. */
async function readSession(exec: Exec, [, , user, , path]: readonly unknown[]): Promise<Session | undefined> {
  if (typeof user !== 'string' || typeof path !== 'string' || !path.startsWith(`${MANAGER}/session/`)) return undefined;
  const answer = await busctl(exec, ['get-property', LOGIND, path, `${LOGIND}.Session`, ...PROPERTIES]);
  const [kind, state, tty, display, host, isIdle] = answer.split('\n').map(parsed);
  if (!PEOPLE.has(kind) || state === 'closing') return undefined;
  const place = [tty, display].find(isName) ?? 'no terminal';
  const where = isName(host) ? `${place} from ${host}` : place;
  return { user: cleanLine(user, 100), where: cleanLine(where, 100), isIdle: isIdle === true };
}

const PROPERTIES: readonly string[] = ['Class', 'State', 'TTY', 'Display', 'RemoteHost', 'IdleHint'];

/** The session classes that logind checks before one user may restart another's machine; excludes incomplete logins. */
const PEOPLE: ReadonlySet<unknown> = new Set(['user', 'user-early', 'user-light', 'user-early-light']);

/** Runs outside the agent's sandbox, which has no terminals. A failed warning does not block the restart. */
async function broadcast(exec: Exec, graceMs: number): Promise<void> {
  const minutes = Math.max(1, Math.round(graceMs / 60_000));
  const text = `This machine restarts into an update in ${minutes} minute${minutes === 1 ? '' : 's'}. To delay it: updatectl inhibit --owner NAME --reason WHY --for 2h`;
  await exec('systemd-run', ['--quiet', '--collect', 'wall', text], TOOL).catch(() => undefined);
}

async function busctl(exec: Exec, args: readonly string[]): Promise<string> {
  const result = await exec('busctl', ['--json=short', ...args], TOOL).catch(() => undefined);
  return result?.exitCode === 0 ? result.stdout : '';
}

const TOOL = { timeoutMs: 10_000, package: 'systemd' };

function rowsOf(answer: string): readonly (readonly unknown[])[] {
  const data = parsed(answer);
  const rows: unknown = Array.isArray(data) ? data[0] : undefined;
  return Array.isArray(rows) ? rows.filter((row) => Array.isArray(row)) : [];
}

const isName = (value: unknown): value is string => typeof value === 'string' && value !== '';

/** The type and value in busctl's JSON. */
function parsed(text: string): unknown {
  try {
    return (JSON.parse(text) as Readonly<{ data?: unknown }> | null)?.data;
  } catch {
    return undefined;
  }
}
