/** `rollout abort`: the channel offers its previous release again. */

import { aborted } from '../../rollout/operate.ts';
import { revising } from './channel.ts';

export const rolloutAbort = revising(
  {
    name: 'rollout abort',
    summary: 'offer the previous release of the channel again',
    description: 'Hosts that run the release keep it, unless --go-back is given.',
    examples: ['updatectl rollout abort --reason "breaks printing" --go-back --keys ~/keys'],
    options: [
      { flags: '--reason <text>', summary: 'the reason that hosts and operators see', required: true },
      { flags: '--go-back', summary: 'hosts that run the release go back, too' },
    ],
  },
  (offer, input, now) => aborted(offer, input.given('reason'), input.flag('go-back'), now),
  ({ channel, version }) => `The rollout is aborted: the channel ${channel} offers ${version} again.`,
);
