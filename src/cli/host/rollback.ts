/** `updatectl rollback`. */

import { loadConfig } from '../../config/config.ts';
import type { Command } from '../command.ts';
import { agentClient } from './agent-client.ts';
import { followWork } from './follow.ts';
import { headline } from './status-text.ts';

export const rollback: Command = {
  name: 'rollback',
  summary: 'return to the release in the other slot',
  description:
    'Reads and checks the other slot first, then restarts into it, on trial like any other. The release left behind is refused until `updatectl forget`.',
  examples: ['updatectl rollback'],
  run: async ({ files, signal, out }) => {
    const client = agentClient(await loadConfig(files), signal);
    const status = await followWork(client, out, () => client.post('/v1/rollback'));
    out.document(status);
    out.line(headline(status));
    return undefined;
  },
};
