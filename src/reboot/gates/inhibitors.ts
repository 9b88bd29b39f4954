/** The gate of systemd's inhibitors: programs that have asked logind to prevent a shutdown. */

import { cleanLine } from '../../clean-text.ts';
import type { Exec } from '../../system/process/exec.ts';
import { closed, type GateVerdict, OPEN } from './gate.ts';

/** Asks logind. If it does not respond, no inhibitor can exist; systemd itself asks again before the restart. */
export async function inhibitorsGate(exec: Exec): Promise<GateVerdict> {
  const result = await exec('busctl', LIST_INHIBITORS, { timeoutMs: 10_000, package: 'systemd' }).catch(
    () => undefined,
  );
  return result?.exitCode === 0 ? inhibitorsVerdict(result.stdout) : OPEN;
}

/** Parses the answer: rows of what, who, why, mode, user and process. Pure. */
export function inhibitorsVerdict(answer: string): GateVerdict {
  const [first, ...rest] = rowsOf(answer).filter(blocksShutdown);
  if (!first) return OPEN;
  const more = rest.length > 0 ? `, and ${rest.length} more` : '';
  const reason = `${plain(first[1])} inhibits the shutdown: ${plain(first[2])}${more}`;
  return closed('inhibited', 'hard', reason, { command: '`systemd-inhibit --list`' });
}

const LIST_INHIBITORS = [
  '--json=short',
  'call',
  'org.freedesktop.login1',
  '/org/freedesktop/login1',
  'org.freedesktop.login1.Manager',
  'ListInhibitors',
];

// A `delay` lock only postpones the shutdown by seconds, which logind handles.
const blocksShutdown = ([what, , , mode]: readonly unknown[]): boolean =>
  mode === 'block' && typeof what === 'string' && what.split(':').includes('shutdown');

function rowsOf(answer: string): readonly (readonly unknown[])[] {
  try {
    const parsed: unknown = JSON.parse(answer);
    if (typeof parsed !== 'object' || parsed === null || !('data' in parsed) || !Array.isArray(parsed.data)) return [];
    const rows: unknown = parsed.data[0];
    return Array.isArray(rows) ? rows.filter((row) => Array.isArray(row)) : [];
  } catch {
    return [];
  }
}

/** Names come from any program: cleaned and cut. */
const plain = (text: unknown): string => (typeof text === 'string' ? cleanLine(text, 200) : 'somebody');
