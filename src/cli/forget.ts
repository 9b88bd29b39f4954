/** `updatectl forget`. */

import { loadConfig } from '../config.ts';
import { agentClient } from './agent-client.ts';
import type { Command } from './command.ts';

export const forget: Command = {
  name: 'forget',
  summary: 'lift the refusal of a release',
  description: 'Without a version: all refusals. The next check may then install the release again.',
  examples: ['updatectl forget 2.1', 'updatectl forget'],
  arguments: [{ name: '[version]', summary: 'the refused release' }],
  run: async ({ files, signal, out }, input) => {
    const version = input.optional(0);
    const reply = await agentClient(await loadConfig(files), signal).post(
      '/v1/forget',
      version === undefined ? {} : { version },
    );
    out.document(reply);
    out.line(reply.message);
    return undefined;
  },
};
