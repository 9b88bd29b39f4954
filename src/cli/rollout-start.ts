/** `rollout start`: offers a release in a channel, group by group and share by share. */

import { writeRollout } from '../rollout/document.ts';
import { started } from '../rollout/operate.ts';
import { rollOut } from '../verify/channels.ts';
import { readRepository } from '../verify/repository.ts';
import type { Command } from './command.ts';
import { productFrom, publishing, versionFrom } from './publishing.ts';
import { NEEDED_KEYS, offerOf, ROLLOUT_OPTIONS, stepsOf } from './rollout-channel.ts';
import { DRAFT_OPTIONS, draftFrom } from './rollout-draft.ts';

export const rolloutStart: Command = {
  name: 'rollout start',
  summary: 'offer a release to the hosts of a channel little by little',
  description: `The same release again changes its rollout. Hosts decide by themselves from the signed document. ${NEEDED_KEYS}`,
  examples: [
    'updatectl rollout start 2.0 --canary lab --soak 1d --over 3d --keys ~/keys',
    'updatectl rollout start 2.1 --urgent --over 6h --max-in-flight 200 --max-failures 20 --keys ~/keys',
  ],
  arguments: [{ name: '<version>', summary: 'a published release' }],
  options: [...DRAFT_OPTIONS, ...ROLLOUT_OPTIONS],
  run: async (context, input) => {
    const product = productFrom(input);
    const version = versionFrom(input.argument(0));
    const document = await publishing(context, input, async (publisher) => {
      const stepOf = stepsOf(await readRepository(publisher.files, publisher.dir), product);
      const draft = draftFrom(input, stepOf, publisher.now);
      const promotion = { channel: input.given('channel'), version, allowDowngrade: draft.allowDowngrade === true };
      return rollOut(
        publisher,
        { ...promotion, ...(product === undefined ? {} : { product }) },
        (before, { counter }) =>
          writeRollout(started(draft, { version, counter }, before && offerOf(before), publisher.now)),
      );
    });
    context.out.line(`The channel ${document.channel} rolls out ${document.product} ${document.version}.`);
    context.out.line('See who gets it when: `updatectl rollout plan`.');
    context.out.document(document);
    return 0;
  },
};
