/** `updatectl explain`: is this host up to date, and if not, why. */

import { loadConfig } from '../../config/config.ts';
import type { Command } from '../command.ts';
import { explain as explanationOf, explanationText } from './explain-text.ts';
import { readStatus } from './status.ts';

export const explain: Command = {
  name: 'explain',
  summary: 'is this host up to date, and if not, what stands in the way',
  description: 'Ends with 0 when the host is up to date or at work, with 3 when something holds it back.',
  examples: ['updatectl explain', 'updatectl explain --json | jq -r ".obstacles[].code"'],
  run: async (context) => {
    const explanation = explanationOf(await readStatus(context, await loadConfig(context.files)));
    for (const line of explanationText(explanation, context.clock.now())) context.out.line(line);
    context.out.document(explanation);
    return explanation.verdict === 'up-to-date' || explanation.verdict === 'working' ? 0 : 3;
  },
};
