/** `updatectl forget`. */

import { loadConfig } from '../../config/config.ts';
import type { Command } from '../command.ts';
import { agentClient } from './agent-client.ts';

export const forget: Command = {
  name: 'forget',
  summary: 'lift refusals, or forget the recorded signing time',
  description:
    'Without a version, lifts all refusals. The next check may then install the release again. With --clock, forgets the signing time of accepted metadata: use it if the local clock is right and a publisher’s was ahead.',
  examples: ['updatectl forget 2.1', 'updatectl forget', 'updatectl forget --clock'],
  arguments: [{ name: '[version]', summary: 'the refused release' }],
  options: [{ flags: '--clock', summary: 'the local clock is right' }],
  run: async ({ files, signal, out }, input) => {
    const version = input.optional(0);
    const request = input.flag('clock') ? { clock: true } : version === undefined ? {} : { version };
    const reply = await agentClient(await loadConfig(files), signal).post('/v1/forget', request);
    out.document(reply);
    out.line(reply.message);
    return undefined;
  },
};
