/** `updatectl check`. */

import { loadConfig } from '../../config/config.ts';
import { EXIT } from '../../errors.ts';
import type { Command } from '../command.ts';
import { agentClient } from './agent-client.ts';
import { followWork } from './follow.ts';
import { headline, nothingLines, transferLines } from './status-text.ts';

export const check: Command = {
  name: 'check',
  summary: 'check the repository now',
  description:
    'Writes what the channel offers to the free slot at once, as a scheduled check would. Exit status 3: nothing to do.',
  examples: ['updatectl check', 'updatectl check --json'],
  run: async ({ files, signal, out }) => {
    const client = agentClient(await loadConfig(files), signal);
    const status = await followWork(client, out, () => client.post('/v1/check'));
    out.document(status);
    out.line(headline(status));
    for (const line of transferLines(status)) out.line(line);
    if (status.state.kind !== 'idle') return EXIT.ok;
    for (const line of nothingLines(status)) out.line(line);
    return EXIT.nothing;
  },
};
