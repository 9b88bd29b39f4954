/** The state files while the agent is not running. Read-only. */

import { join } from 'node:path';
import { asUpdateError, UpdateError } from '../errors.ts';
import type { HistoryEntry } from '../model.ts';
import type { Failure, Status } from '../protocol.ts';
import type { Files } from '../system/files.ts';
import type { Format } from '../system/format.ts';
import { shownError } from './findings.ts';
import { historyFormat, refusalsFormat, savedFormat } from './loop/journal-format.ts';

/** A status from the files alone. */
export async function offlineStatus(files: Files, stateDir: string, version: string, now: Date): Promise<Status> {
  const faults: string[] = [];
  const saved = await peek(files, join(stateDir, 'state.json'), savedFormat, faults);
  const refused = await peek(files, join(stateDir, 'refused.json'), refusalsFormat, faults);
  return {
    schema: 1,
    agent: version,
    at: now.toISOString(),
    state: saved?.state ?? { kind: 'idle' },
    since: saved?.since ?? now.toISOString(),
    ...(saved?.disarmed ? { disarmed: saved.disarmed } : {}),
    waitingFor: 'the agent, which is not running',
    ...(faults.length > 0 ? { lastError: unreadable(faults, now) } : {}),
    refused: refused ?? [],
    offline: true,
  };
}

/** The latest attempts, newest first. */
export async function offlineHistory(files: Files, stateDir: string, limit: number): Promise<readonly HistoryEntry[]> {
  const all = await peek(files, join(stateDir, 'history.jsonl'), historyFormat, []);
  return (all ?? []).slice(-limit).reverse();
}

/** A file that cannot be read or parsed becomes a fault. */
async function peek<T>(files: Files, path: string, format: Format<T>, faults: string[]): Promise<T | undefined> {
  try {
    const bytes = await files.read(path, LARGEST);
    return bytes && format.read(bytes);
  } catch (error) {
    const { message } = asUpdateError(error);
    faults.push(message.includes(path) ? message : `${path}: ${message}`);
    return undefined;
  }
}

function unreadable(faults: readonly string[], now: Date): Failure {
  return shownError(new UpdateError('state-unreadable', faults.join(' ')), now.toISOString());
}

const LARGEST = 64 * 1024 * 1024;
