/** `rollout status`: a channel's offer, its progress, and its holds. */

import { limitsOf, policyOf, type RolloutDocument } from '../../rollout/document.ts';
import { abortIn, type Line } from '../../rollout/operate.ts';
import { shareAt } from '../../rollout/ramp.ts';
import { beginOf, type Rollout } from '../../rollout/rollout.ts';
import type { Command } from '../command.ts';
import { REPOSITORY_OPTION } from '../publish/publishing.ts';
import { CHANNEL_OPTION, offerOf, readChannel } from './channel.ts';
import { limitsText } from './limits.ts';
import { scheduleOf } from './schedule.ts';

export const rolloutStatus: Command = {
  name: 'rollout status',
  summary: 'show what a channel offers, and to which hosts so far',
  description: 'Reads the signed repository; only a fleet server knows how many hosts have it.',
  examples: ['updatectl rollout status --channel stable --repository /srv/updates'],
  options: [CHANNEL_OPTION, REPOSITORY_OPTION],
  run: async (context, input) => {
    const { document } = await readChannel(context, input);
    const { step, rollout } = offerOf(document);
    const now = context.clock.now().getTime();
    const lines = rollout ? describe(rollout, policyOf(rollout, step), now) : ['offered to all hosts'];
    context.out.line(`${document.channel}: ${document.product} ${document.version}`);
    for (const line of lines) context.out.line(`  ${line}`);
    const schedule = rollout ? scheduleOf(policyOf(rollout, step)) : [];
    context.out.document({
      schema: 1,
      channel: document.channel,
      offer: step,
      aborted: rollout && abortIn(rollout),
      rollout: document.rollout,
      schedule,
    });
    return 0;
  },
};

function describe(document: RolloutDocument, policy: Rollout, now: number): string[] {
  const rest = shareAt(policy.ramp, now - beginOf(policy, ''));
  const undone = abortIn(document);
  return [
    ...(undone ? abortText(undone, document, policy.release.version) : []),
    ...(policy.pause ? [`PAUSED since ${document.pause?.since}: ${policy.pause.reason}`] : []),
    `begins ${document.start}${policy.urgent ? ', urgent' : ''}`,
    ...(policy.canaries.groups.length > 0 ? [`canaries: ${policy.canaries.groups.join(', ')}`] : []),
    `others: ${policy.pause ? 'no more hosts' : `${Math.floor(rest * 100)} % may have it now`}`,
    ...[...policy.groups].flatMap(([name, { hold, pin }]) => [
      ...(hold === undefined ? [] : [`group ${name} is held: ${hold}`]),
      ...(pin ? [`group ${name} is pinned to ${pin.version}`] : []),
    ]),
    ...policy.barriers.map(({ version, reason }) => `barrier ${version}: ${reason}`),
    ...policy.deadEnds.map(({ version, reason }) => `dead end ${version}: ${reason}`),
    limitsText(limitsOf(document)),
  ];
}

const abortText = (
  { version, at, reason = 'no reason was given' }: Line,
  { allowDowngrade }: RolloutDocument,
  again: string,
): string[] => [
  `ABORTED ${version} at ${at}: ${reason}`,
  `${again} is offered again; hosts that run ${version} ${allowDowngrade ? 'go back to it' : 'keep it'}`,
];
