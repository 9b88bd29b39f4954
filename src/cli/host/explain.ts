/** `updatectl explain`: is this host up to date, and if not, why. */

import { loadConfig } from '../../config/config.ts';
import type { Command } from '../command.ts';
import { explain as explanationOf, explanationText } from './explain-text.ts';
import { readStatus } from './status.ts';

export const explain: Command = {
  name: 'explain',
  summary: 'show whether this host is up to date, and if not, why',
  description: 'Exits with 0 if the host is up to date or working, and with 3 otherwise.',
  examples: ['updatectl explain', 'updatectl explain --json | jq -r ".obstacles[].code"'],
  run: async (context) => {
    const explanation = explanationOf(await readStatus(context, await loadConfig(context.files)));
    for (const line of explanationText(explanation, context.clock.now())) context.out.line(line);
    context.out.document(explanation);
    return explanation.verdict === 'up-to-date' || explanation.verdict === 'working' ? 0 : 3;
  },
};
