/** `rollout history`: the changes to the rollouts of a channel. */

import type { Command } from '../command.ts';
import { PRODUCT_OPTION, REPOSITORY_OPTION } from '../publish/publishing.ts';
import { CHANNEL_OPTION, offerOf, readChannel } from './channel.ts';

export const rolloutHistory: Command = {
  name: 'rollout history',
  summary: 'list the changes to the rollouts of a channel',
  examples: ['updatectl rollout history --channel stable --repository /srv/updates'],
  options: [CHANNEL_OPTION, PRODUCT_OPTION, REPOSITORY_OPTION],
  run: async (context, input) => {
    const { document } = await readChannel(context, input);
    const history = offerOf(document).rollout?.history ?? [];
    context.out.table([
      ['WHEN', 'WHAT', 'VERSION', 'WHY'],
      ...history.map(({ at, what, version, reason = '' }) => [at, what, version, reason]),
    ]);
    context.out.document({ schema: 1, channel: document.channel, history });
    return history.length > 0 ? 0 : 3;
  },
};
