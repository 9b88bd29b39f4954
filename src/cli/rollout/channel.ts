/** Shared by the rollout commands: the channel, the releases in the repository, and the current rollout. */

import { UpdateError } from '../../errors.ts';
import type { Product } from '../../model.ts';
import { type RolloutDocument, readRollout, writeRollout } from '../../rollout/document.ts';
import type { Offer } from '../../rollout/operate.ts';
import type { Step } from '../../rollout/rollout.ts';
import type { ChannelDocument } from '../../verify/documents.ts';
import { reviseRollout } from '../../verify/publish/channels.ts';
import { findRelease } from '../../verify/publish/publisher.ts';
import { channelDocument, type Repository, readRepository } from '../../verify/publish/repository.ts';
import type { Command, Context, Input, OptionSpec } from '../command.ts';
import { PRODUCT_OPTION, PUBLISHER_OPTIONS, publishing, repositoryFolder, versionFrom } from '../publish/publishing.ts';

export const CHANNEL_OPTION: OptionSpec = { flags: '--channel <name>', summary: 'the channel', default: 'stable' };
export const ROLLOUT_OPTIONS: readonly OptionSpec[] = [CHANNEL_OPTION, PRODUCT_OPTION, ...PUBLISHER_OPTIONS];
export const NEEDED_KEYS = 'Needs the keys channels, snapshot and timestamp.';

/** The offer in a channel's document. */
export const offerOf = ({ version, counter, rollout, channel }: ChannelDocument): Offer => ({
  step: { version, counter },
  rollout: rollout === undefined ? undefined : readRollout(rollout, `the channel ${channel}`),
});

/** Finds the releases that an operator names. */
export const stepsOf =
  (repository: Repository, product: Product | undefined) =>
  (text: string): Step => {
    const { version, counter } = findRelease(repository, versionFrom(text), product);
    return { version, counter };
  };

/** Reads the channel that a command is about, without signing anything. */
export async function readChannel(
  context: Context,
  input: Input,
): Promise<Readonly<{ repository: Repository; document: ChannelDocument }>> {
  const place = { files: context.files, dir: repositoryFolder(context, input) };
  const repository = await readRepository(place.files, place.dir);
  const channel = input.given('channel');
  const document = await channelDocument(place, repository, channel);
  if (!document) throw new UpdateError('channel-unknown', `The repository has no channel "${channel}".`);
  return { repository, document };
}

/** A command that changes the current rollout, and reports the change in one sentence. */
export function revising(
  about: Pick<Command, 'name' | 'summary' | 'examples'> &
    Readonly<{ options?: readonly OptionSpec[]; description?: string }>,
  revise: (offer: Offer, input: Input, now: Date) => Readonly<{ step?: Step; rollout: RolloutDocument }>,
  said: (document: ChannelDocument) => string,
): Command {
  return {
    ...about,
    description: [about.description, NEEDED_KEYS].filter(Boolean).join(' '),
    options: [...(about.options ?? []), ...ROLLOUT_OPTIONS],
    run: async (context, input) => {
      const document = await publishing(context, input, (publisher) =>
        reviseRollout(publisher, input.given('channel'), (before) => {
          const { step, rollout } = revise(offerOf(before), input, publisher.now);
          return { ...step, rollout: writeRollout(rollout) };
        }),
      );
      context.out.line(said(document));
      context.out.document(document);
      return 0;
    },
  };
}
