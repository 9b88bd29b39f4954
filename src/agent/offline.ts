/** What the state files say while the agent is not running. Reads only; changes nothing. */

import { join } from 'node:path';
import type { HistoryEntry } from '../model.ts';
import type { Status } from '../protocol.ts';
import type { Files } from '../system/files.ts';
import type { Format } from '../system/format.ts';
import { historyFormat, refusalsFormat, savedFormat } from './journal-documents.ts';

/** A status without what only the agent knows. */
export async function offlineStatus(files: Files, stateDir: string, version: string, now: Date): Promise<Status> {
  const saved = await peek(files, join(stateDir, 'state.json'), savedFormat);
  const refused = await peek(files, join(stateDir, 'refused.json'), refusalsFormat);
  return {
    schema: 1,
    agent: version,
    at: now.toISOString(),
    state: saved?.state ?? { kind: 'idle' },
    since: saved?.since ?? now.toISOString(),
    ...(saved?.disarmed ? { disarmed: saved.disarmed } : {}),
    waitingFor: 'the agent, which is not running',
    refused: refused ?? [],
    offline: true,
  };
}

/** The latest attempts, newest first. */
export async function offlineHistory(files: Files, stateDir: string, limit: number): Promise<readonly HistoryEntry[]> {
  const all = await peek(files, join(stateDir, 'history.jsonl'), historyFormat);
  return (all ?? []).slice(-limit).reverse();
}

/** A file that cannot be read or understood says nothing; the agent moves it aside. */
async function peek<T>(files: Files, path: string, format: Format<T>): Promise<T | undefined> {
  try {
    const bytes = await files.read(path);
    return bytes && format.read(bytes);
  } catch {
    return undefined;
  }
}
