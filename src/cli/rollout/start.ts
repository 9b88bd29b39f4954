/** `rollout start`: offers a release in a channel, group by group and share by share. */

import { limitsOf, readRollout, writeRollout } from '../../rollout/document.ts';
import { doubtsOf } from '../../rollout/doubts.ts';
import { type Draft, started } from '../../rollout/operate.ts';
import { rollOut } from '../../verify/publish/channels.ts';
import { refuse } from '../../verify/publish/insist.ts';
import { releasesIn } from '../../verify/publish/publisher.ts';
import { type Repository, readRepository } from '../../verify/publish/repository.ts';
import type { Command, Context } from '../command.ts';
import { durationText } from '../duration.ts';
import { productFrom, publishing, versionFrom } from '../publish/publishing.ts';
import { NEEDED_KEYS, offerOf, ROLLOUT_OPTIONS, stepsOf } from './channel.ts';
import { DRAFT_OPTIONS, draftFrom } from './draft.ts';
import { brakeText } from './limits.ts';

export const rolloutStart: Command = {
  name: 'rollout start',
  summary: 'offer a release to the hosts of a channel gradually',
  description: `Starting the same release again changes its rollout. Each host takes its turn from the signed document. ${NEEDED_KEYS}`,
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
      const repository = await readRepository(publisher.files, publisher.dir);
      const stepOf = stepsOf(repository, product);
      const draft = draftFrom(input, stepOf, publisher.now);
      const doubts = doubtsOf(draft, stepOf(version));
      if (doubts.length > 0) refuse(publisher, 'rollout-doubtful', `Probably a mistake: ${doubts.join('; ')}.`);
      warnOfTypos(context, repository, draft, publisher.now);
      const promotion = { channel: input.given('channel'), version, allowDowngrade: draft.allowDowngrade === true };
      return rollOut(
        publisher,
        { ...promotion, ...(product === undefined ? {} : { product }) },
        (before, { counter }) =>
          writeRollout(started(draft, { version, counter }, before && offerOf(before), publisher.now)),
      );
    });
    context.out.line(`The channel ${document.channel} rolls out ${document.product} ${document.version}.`);
    context.out.line(brakeText(limitsOf(readRollout(document.rollout, `the channel ${document.channel}`))));
    context.out.line('`updatectl rollout plan` shows which hosts get it, and when.');
    context.out.document(document);
    return 0;
  },
};

/** Settings that are valid, but perhaps a wrong year or number. */
function warnOfTypos({ out }: Context, repository: Repository, { start, deadEnds = [] }: Draft, now: Date): void {
  const ago = Math.floor((now.getTime() - Date.parse(start)) / 60_000);
  if (ago >= 1) out.warn(`The rollout began ${durationText(ago)} ago: all turns since then come at once.`);
  const known = new Set(releasesIn(repository).map(({ version }) => version));
  for (const { version } of deadEnds)
    if (!known.has(version)) out.warn(`The dead end ${version} is not a release of the repository.`);
}
