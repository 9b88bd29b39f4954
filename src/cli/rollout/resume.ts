/** `rollout resume`: a paused rollout goes on where it stood. */

import { resumed } from '../../rollout/operate.ts';
import { revising } from './channel.ts';

export const rolloutResume = revising(
  {
    name: 'rollout resume',
    summary: 'resume a paused rollout',
    description: 'The time of the pause is not caught up.',
    examples: ['updatectl rollout resume --keys ~/keys'],
  },
  (offer, _input, now) => ({ rollout: resumed(offer, now) }),
  ({ channel, version }) => `The rollout of ${version} in the channel ${channel} goes on.`,
);
