/** Operators' changes to a channel: the release on offer, and its rollout. */

import { dirname, join } from 'node:path';
import { UpdateError } from '../../errors.ts';
import type { Product, Version } from '../../model.ts';
import { suggestion } from '../../nearest-word.ts';
import { replaceFile } from '../../system/files.ts';
import { utcText } from '../../utc.ts';
import { type ChannelDocument, channelShape, LIMITS, type ReleaseEntry, readDocument } from '../documents.ts';
import { CHANNEL_PATTERN, channelPath, storedPath } from '../names.ts';
import { digest } from '../signed-file.ts';
import { refuse } from './insist.ts';
import { entryOf, type Publisher, publish } from './publish.ts';
import { findRelease, makeDirDurably } from './publisher.ts';
import { channelDocument, channelNames, type Repository, readRepository } from './repository.ts';

export type Promotion = Readonly<{ channel: string; version: Version; product?: Product; allowDowngrade?: boolean }>;

/** Offers a published release in a channel to all hosts at once, which ends a rollout. */
export async function promote(publisher: Publisher, promotion: Promotion): Promise<ChannelDocument> {
  return offer(publisher, promotion, (before, release) => {
    const isSame = before?.version === release.version && before.product === release.product;
    return isSame && before.rollout === undefined ? 'unchanged' : undefined;
  });
}

/** Offers a published release with a rollout, built by `rollout` from the channel's previous offer. */
export async function rollOut(
  publisher: Publisher,
  promotion: Promotion,
  rollout: (before: ChannelDocument | undefined, release: ReleaseEntry) => object,
): Promise<ChannelDocument> {
  return offer(publisher, promotion, rollout);
}

/** Changes the rollout of the release already on offer. */
export async function reviseRollout(
  publisher: Publisher,
  channel: string,
  revise: (before: ChannelDocument) => Partial<ChannelDocument>,
): Promise<ChannelDocument> {
  const repository = await readRepository(publisher.files, publisher.dir);
  const before = await channelDocument(publisher, repository, channel);
  if (!before) throw new UpdateError('channel-unknown', `The repository has no channel "${channel}".`);
  const document: ChannelDocument = { ...before, ...revise(before), published: nowOf(publisher) };
  // It may have been removed since.
  if (document.version !== before.version) findRelease(repository, document.version, document.product);
  await publishChannel(publisher, repository, document);
  return document;
}

async function offer(
  publisher: Publisher,
  { channel, version, product, allowDowngrade = false }: Promotion,
  rolloutOf: (before: ChannelDocument | undefined, release: ReleaseEntry) => object | 'unchanged' | undefined,
): Promise<ChannelDocument> {
  if (!CHANNEL_PATTERN.test(channel))
    throw new UpdateError(
      'usage',
      `"${channel}" cannot be a channel: lower-case letters, digits and dashes, at most 32.`,
    );
  const repository = await readRepository(publisher.files, publisher.dir);
  const release = findRelease(repository, version, product);
  const before = await channelDocument(publisher, repository, channel);
  if (!before) refuseTypo(publisher, repository, channel);
  const rollout = rolloutOf(before, release);
  if (rollout === 'unchanged' && before) return before;
  if (before) refuseOlder(before, release, allowDowngrade);
  const document: ChannelDocument = {
    schema: 1,
    channel,
    product: release.product,
    version,
    counter: release.counter,
    published: nowOf(publisher),
    ...(rollout === undefined || rollout === 'unchanged' ? {} : { rollout }),
  };
  await publishChannel(publisher, repository, document);
  return document;
}

/** A typo would create a channel silently, while the hosts of the intended one get nothing. */
function refuseTypo(publisher: Publisher, repository: Repository, channel: string): void {
  const known = channelNames(repository);
  if (known.length === 0) return;
  const others = `the repository has ${known.slice(0, MOST_NAMED).join(', ')}${known.length > MOST_NAMED ? ', …' : ''}`;
  refuse(publisher, 'channel-new', `There is no channel “${channel}” yet; ${others}.${suggestion(channel, known)}`);
}

const MOST_NAMED = 8;

const nowOf = ({ now }: Publisher): string => utcText(now);

function refuseOlder(before: ChannelDocument, release: ReleaseEntry, allowDowngrade: boolean): void {
  if (before.product !== release.product)
    throw new UpdateError(
      'usage',
      `The channel ${before.channel} is for ${before.product}, not for ${release.product}.`,
    );
  if (release.counter < before.counter && !allowDowngrade)
    throw new UpdateError(
      'release-older',
      `The channel ${before.channel} offers ${before.version} (counter ${before.counter}); ${release.version} has counter ${release.counter}.`,
    );
}

async function publishChannel(publisher: Publisher, repository: Repository, document: ChannelDocument): Promise<void> {
  const path = channelPath(document.channel);
  const bytes = Buffer.from(`${JSON.stringify(document)}\n`);
  // Hosts read no more, and would be without a channel.
  readDocument(bytes, LIMITS.channel, 'document-invalid', path, channelShape);
  const entry = entryOf(bytes.length, digest(bytes));
  const stored = join(publisher.dir, storedPath(path, entry.hashes.sha256));
  await makeDirDurably(publisher, dirname(stored));
  await replaceFile(publisher.files, stored, bytes);
  await publish(publisher, repository, {
    channels: new Map([...repository.channels.document.signed.targets, [path, entry]]),
  });
}
