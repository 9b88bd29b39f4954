/** `rollout resume`: a paused rollout continues where it stopped. */

import { resumed } from '../../rollout/operate.ts';
import { revising } from './channel.ts';

export const rolloutResume = revising(
  {
    name: 'rollout resume',
    summary: 'resume a paused rollout',
    description: 'The rollout continues where it stopped: it does not catch up for the pause.',
    examples: ['updatectl rollout resume --keys ~/keys'],
  },
  (offer, _input, now) => ({ rollout: resumed(offer, now) }),
  ({ channel, version }) => `The rollout of ${version} in the channel ${channel} continues.`,
);
