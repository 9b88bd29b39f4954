/** What the state files say while the agent is not running. Reads only; changes nothing. */

import { join } from 'node:path';
import type { HistoryEntry, Refusal, Saved } from '../model.ts';
import type { Status } from '../protocol.ts';
import type { Files } from '../system/files.ts';
import { parseHistory, parseRefusals, parseSaved } from './journal-documents.ts';

/** A status without what only the agent knows. */
export async function offlineStatus(files: Files, stateDir: string, version: string, now: Date): Promise<Status> {
  const saved = await peek<Saved>(files, join(stateDir, 'state.json'), parseSaved);
  const refused = await peek<readonly Refusal[]>(files, join(stateDir, 'refused.json'), parseRefusals);
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
  const all = await peek<readonly HistoryEntry[]>(files, join(stateDir, 'history.jsonl'), parseHistory);
  return (all ?? []).slice(-limit).reverse();
}

async function peek<T>(files: Files, path: string, parse: (bytes: Uint8Array) => T): Promise<T | undefined> {
  const bytes = await files.read(path);
  try {
    return bytes && parse(bytes);
  } catch {
    return undefined;
  }
}
