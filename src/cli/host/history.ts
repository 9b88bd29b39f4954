/** `updatectl history`. */

import { offlineHistory } from '../../agent/offline.ts';
import { loadConfig } from '../../config/config.ts';
import type { HistoryReply } from '../../protocol.ts';
import type { Command } from '../command.ts';
import { downtimeText } from '../units.ts';
import { agentClient, isAbsent } from './agent-client.ts';

export const history: Command = {
  name: 'history',
  summary: 'list past attempts and how they ended',
  description:
    'Also works without a running agent. DOWNTIME is how long nothing ran: “about” if only the wall clock measured it, “at least” if nothing could measure all of it.',
  examples: ['updatectl history', 'updatectl history --limit 5 --json'],
  options: [{ flags: '--limit <n>', summary: 'at most this many entries, newest first', default: '20' }],
  run: async ({ files, signal, out }, input) => {
    const config = await loadConfig(files);
    const limit = input.whole('limit', 1) ?? 20;
    const entries = await agentClient(config, signal)
      .get(`/v1/history?limit=${limit}`)
      .then((document) => (document as HistoryReply).entries)
      .catch((error: unknown) => {
        if (!isAbsent(error)) throw error;
        return offlineHistory(files, config.agent.stateDir, limit);
      });
    out.document({ schema: 1, entries } satisfies HistoryReply);
    if (entries.length === 0) out.line('No update has been attempted yet.');
    else
      out.table([
        ['WHEN', 'RESULT', 'VERSION', 'BY', 'DOWNTIME', 'WHY'],
        ...entries.map((one) => [
          one.at,
          one.result,
          one.version,
          one.method ?? '',
          one.downtime ? downtimeText(one.downtime) : '',
          one.reason ?? '',
        ]),
      ]);
    return undefined;
  },
};
