/** `updatectl apply`. */

import { loadConfig } from '../../config/config.ts';
import type { Command } from '../command.ts';
import { agentClient } from './agent-client.ts';

export const apply: Command = {
  name: 'apply',
  summary: 'reboot into the staged release',
  description: 'Arms the slot and restarts the machine. The new system is on trial until its probes pass.',
  examples: ['updatectl apply'],
  run: async ({ files, signal, out }) => {
    const reply = await agentClient(await loadConfig(files), signal).post('/v1/apply');
    out.document(reply);
    out.line(reply.message);
    return undefined;
  },
};
