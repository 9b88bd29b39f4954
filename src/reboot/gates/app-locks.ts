/** The gate of applications: an application that must not be interrupted leaves a file with its owner, reason and expiry. */

import { join } from 'node:path';
import { cleanLine } from '../../clean-text.ts';
import { UpdateError } from '../../errors.ts';
import { type Files, replaceFile } from '../../system/files.ts';
import { closed, type GateVerdict, OPEN } from './gate.ts';

/** The JSON in a file; times are ISO 8601. */
export type AppLock = Readonly<{ owner: string; reason: string; since: string; until: string }>;

/** In the runtime directory, because a restart ends what must not be interrupted. A soft reboot keeps that directory; tandem.tmpfiles empties it. */
export const appLocksDir = (runtimeDir: string): string => join(runtimeDir, 'inhibit.d');

/** Closed while there are locks; names the one that expires last. A malformed file also closes the gate: its owner meant to hold the reboot. */
export async function appLocksGate(files: Pick<Files, 'list' | 'read'>, dir: string, now: Date): Promise<GateVerdict> {
  const names = (await files.list(dir)).filter((name) => name.endsWith('.json')).slice(0, MOST);
  const found = await Promise.all(
    names.map(async (name) => ({ path: join(dir, name), lock: await read(files, join(dir, name)) })),
  );
  const broken = found.find(({ lock }) => lock === 'broken');
  if (broken)
    return closed('app-lock', 'soft', `${broken.path} is not a valid application lock`, {
      command: `rm -r ${broken.path}`,
    });
  const held = found
    .flatMap(({ path, lock }) => (typeof lock === 'object' && isInForce(lock, now) ? [{ path, ...lock }] : []))
    .sort((one, other) => (one.until < other.until ? 1 : -1));
  const [longest] = held;
  if (!longest) return OPEN;
  const more = held.length > 1 ? `, and ${held.length - 1} more` : '';
  return closed('app-lock', 'soft', `${longest.owner} must not be interrupted: ${longest.reason}${more}`, {
    since: new Date(longest.since),
    next: new Date(longest.until),
    command: `rm ${longest.path}`,
  });
}

/** Creates a lock file. `id` distinguishes locks of the same owner. */
export async function placeAppLock(files: Files, dir: string, lock: AppLock, id: string): Promise<() => Promise<void>> {
  if (!OWNER.test(lock.owner))
    throw new UpdateError('usage', `“${lock.owner}” is not a valid owner: use letters, digits, dots and dashes.`);
  const bytes = new TextEncoder().encode(`${JSON.stringify({ ...lock, reason: cleanLine(lock.reason, 200) })}\n`);
  const path = join(dir, `${lock.owner}.${id}.json`);
  await files.makeDir(dir);
  await replaceFile(files, path, bytes);
  return () => files.remove(path);
}

/** Parses `90m`, `2h` or `7d` to milliseconds; at most a week, so that a longer hold must be renewed. */
export function lockDuration(text: string): number {
  const [, count = '', unit = ''] = /^([1-9]\d{0,4})([smhd])$/.exec(text) ?? [];
  const ms = Number(count) * (UNIT_MS[unit] ?? Number.NaN);
  if (ms > 0 && ms <= LONGEST_MS) return ms;
  throw new UpdateError('usage', `“${text}” is not a duration such as 90m, 2h or 1d; the longest is 7d.`);
}

const MOST = 256;
const LARGEST = 4096;
const OWNER = /^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$/;
const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const LONGEST_MS = 7 * 86_400_000;

const isInForce = ({ until }: AppLock, now: Date): boolean => new Date(until).getTime() > now.getTime();

/** An unreadable file still counts as a lock. */
const read = (files: Pick<Files, 'read'>, path: string): Promise<AppLock | 'broken' | undefined> =>
  files.read(path, LARGEST).then(parse, () => 'broken');

/** Undefined if it has just been removed. */
function parse(bytes: Uint8Array | undefined): AppLock | 'broken' | undefined {
  if (!bytes) return undefined;
  if (bytes.length > LARGEST) return 'broken';
  try {
    const { owner, reason, since, until } = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    const isWhole = [owner, reason, since, until].every((one) => typeof one === 'string');
    const isDated = [since, until].every((one) => !Number.isNaN(new Date(String(one)).getTime()));
    if (!isWhole || !isDated || !OWNER.test(String(owner))) return 'broken';
    return {
      owner: String(owner),
      reason: cleanLine(String(reason), 200),
      since: String(since),
      until: iso(String(until)),
    };
  } catch {
    return 'broken';
  }
}

const iso = (text: string): string => new Date(text).toISOString();
