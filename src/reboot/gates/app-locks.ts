/** The gate of applications: whoever must not be interrupted leaves a file that says who, why and for how long. */

import { join } from 'node:path';
import { cleanLine } from '../../clean-text.ts';
import { UpdateError } from '../../errors.ts';
import { type Files, replaceFile } from '../../system/files.ts';
import { closed, type GateVerdict, OPEN } from './gate.ts';

/** What a file holds, as JSON; times are ISO 8601. */
export type AppLock = Readonly<{ owner: string; reason: string; since: string; until: string }>;

/** In the runtime folder: after a restart nobody is interrupted any more. (A soft one keeps that folder; tandem.tmpfiles empties it.) */
export const appLocksDir = (runtimeDir: string): string => join(runtimeDir, 'inhibit.d');

/** Who objects, the one that lasts longest first. A file that cannot be understood objects, too: its owner meant something by it. */
export async function appLocksGate(files: Pick<Files, 'list' | 'read'>, dir: string, now: Date): Promise<GateVerdict> {
  const names = (await files.list(dir)).filter((name) => name.endsWith('.json')).slice(0, MOST);
  const found = await Promise.all(
    names.map(async (name) => ({ path: join(dir, name), lock: await read(files, join(dir, name)) })),
  );
  const broken = found.find(({ lock }) => lock === 'broken');
  if (broken)
    return closed('app-lock', 'soft', `${broken.path} is no application lock`, { command: `rm -r ${broken.path}` });
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

/** Leaves such a file; taking it back is forgetting it early. `id` tells locks of one owner apart. */
export async function placeAppLock(files: Files, dir: string, lock: AppLock, id: string): Promise<() => Promise<void>> {
  if (!OWNER.test(lock.owner))
    throw new UpdateError('usage', `“${lock.owner}” is no name for an owner: letters, digits, dots and dashes.`);
  const bytes = new TextEncoder().encode(`${JSON.stringify({ ...lock, reason: cleanLine(lock.reason, 200) })}\n`);
  const path = join(dir, `${lock.owner}.${id}.json`);
  await files.makeDir(dir);
  await replaceFile(files, path, bytes);
  return () => files.remove(path);
}

/** `90m`, `2h`, `7d` in milliseconds: nobody may hold a host up for longer than a week without asking again. */
export function lockDuration(text: string): number {
  const [, count = '', unit = ''] = /^([1-9]\d{0,4})([smhd])$/.exec(text) ?? [];
  const ms = Number(count) * (UNIT_MS[unit] ?? Number.NaN);
  if (ms > 0 && ms <= LONGEST_MS) return ms;
  throw new UpdateError('usage', `“${text}” is no duration like 90m, 2h or 1d, of at most 7d.`);
}

const MOST = 256;
const LARGEST = 4096;
const OWNER = /^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$/;
const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const LONGEST_MS = 7 * 86_400_000;

const isInForce = ({ until }: AppLock, now: Date): boolean => new Date(until).getTime() > now.getTime();

/** What cannot be read was put there all the same. */
const read = (files: Pick<Files, 'read'>, path: string): Promise<AppLock | 'broken' | undefined> =>
  files.read(path, LARGEST).then(parse, () => 'broken');

/** Undefined where it has just been removed. */
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
