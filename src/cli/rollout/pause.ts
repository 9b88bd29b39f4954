/** `rollout pause`: no more hosts get the release. */

import { paused } from '../../rollout/operate.ts';
import { revising } from './channel.ts';

export const rolloutPause = revising(
  {
    name: 'rollout pause',
    summary: 'stop offering the release to more hosts',
    description: 'Hosts that have staged it drop it; hosts that run it keep it.',
    examples: ['updatectl rollout pause --reason "disk errors on two hosts" --keys ~/keys'],
    options: [{ flags: '--reason <text>', summary: 'the reason that hosts and operators see', required: true }],
  },
  (offer, input, now) => ({ rollout: paused(offer, input.given('reason'), now) }),
  ({ channel, version }) => `The rollout of ${version} in the channel ${channel} is paused.`,
);
