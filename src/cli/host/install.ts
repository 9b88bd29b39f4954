/** `updatectl install`. */

import { resolve } from 'node:path';
import { loadConfig } from '../../config/config.ts';
import { EXIT } from '../../errors.ts';
import type { Command } from '../command.ts';
import { agentClient } from './agent-client.ts';
import { followWork } from './follow.ts';
import { headline, nothingLines, transferLines } from './status-text.ts';

export const install: Command = {
  name: 'install',
  summary: 'write a release to the free slot',
  description:
    'Without a version, installs what the channel offers. A folder or bundle passed with --from needs the same signatures as the server’s.',
  examples: [
    'updatectl install',
    'updatectl install 2.1',
    'updatectl install --from /media/stick',
    'updatectl install --from shop-2.1.bundle',
    'updatectl install 2.0 --allow-downgrade',
  ],
  arguments: [{ name: '[version]', summary: 'a release in the repository' }],
  options: [
    { flags: '--from <path>', summary: 'a repository in a folder, or a bundle' },
    { flags: '--allow-downgrade', summary: 'accept a release older than the running one' },
  ],
  run: async ({ files, signal, out, cwd }, input) => {
    const client = agentClient(await loadConfig(files), signal);
    const version = input.optional(0);
    const from = input.text('from');
    const request = {
      ...(version === undefined ? {} : { version }),
      // The agent has another working directory.
      ...(from === undefined ? {} : { from: resolve(cwd(), from) }),
      ...(input.flag('allow-downgrade') ? { allowDowngrade: true } : {}),
    };
    const status = await followWork(client, out, () => client.post('/v1/install', request));
    out.document(status);
    out.line(headline(status));
    for (const line of transferLines(status)) out.line(line);
    if (status.state.kind !== 'idle') return EXIT.ok;
    for (const line of nothingLines(status, version)) out.line(line);
    return EXIT.nothing;
  },
};
