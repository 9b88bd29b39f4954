/** What the channels of the served repository say, read again whenever it was published anew. */

import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { limitsOf, policyOf, readRollout } from '../../rollout/document.ts';
import { abortIn } from '../../rollout/operate.ts';
import type { Files } from '../../system/files.ts';
import type { ChannelDocument } from '../../verify/documents.ts';
import { ROLE_NAMES } from '../../verify/names.ts';
import { channelDocument, readRepository } from '../../verify/publish/repository.ts';
import type { ChannelState } from './fleet.ts';

export type Channels = ReadonlyMap<string, ChannelState>;

/** What is published: all channels by name, and when the metadata of each role expires. */
export type Published = Readonly<{ channels: Channels; expires: ReadonlyMap<string, Date> }>;

/** The channels alone. */
export function createChannels(files: Files, dir: string): () => Promise<Channels> {
  const published = createPublished(files, dir);
  return async () => (await published()).channels;
}

/** The repository in `dir` is checked as a publisher checks it. */
export function createPublished(files: Files, dir: string): () => Promise<Published> {
  let known: Readonly<{ stamp: string; published: Promise<Published> }> | undefined;
  return async () => {
    // Whatever is published, the timestamp comes last, and it is never the same twice.
    const timestamp = (await files.read(join(dir, 'metadata/timestamp.json'))) ?? new Uint8Array();
    const stamp = createHash('sha256').update(timestamp).digest('hex');
    if (known?.stamp !== stamp) known = { stamp, published: readPublished(files, dir) };
    const { published } = known;
    // A repository that could not be read is read again by the next who asks.
    published.catch(() => {
      known = undefined;
    });
    return published;
  };
}

async function readPublished(files: Files, dir: string): Promise<Published> {
  const repository = await readRepository(files, dir);
  const names = [...repository.channels.document.signed.targets.keys()].map((path) => basename(path, '.json'));
  const documents = await Promise.all(names.map((name) => channelDocument({ files, dir }, repository, name)));
  return {
    channels: new Map(
      documents.flatMap((document) => (document ? [[document.channel, stateOf(document)] as const] : [])),
    ),
    expires: new Map(ROLE_NAMES.map((role) => [role, new Date(repository[role].document.signed.expires)])),
  };
}

/** A rollout that is started again, or goes back, keeps no score of the one before. */
function stateOf({ channel, version, counter, rollout }: ChannelDocument): ChannelState {
  if (rollout === undefined) return { id: version, version };
  const document = readRollout(rollout, `the channel ${channel}`);
  const begun = document.history?.findLast(({ what }) => what === 'started' || what === 'aborted');
  const offered = { policy: policyOf(document, { version, counter }), limits: limitsOf(document) };
  const aborted = abortIn(document);
  return { id: `${version} ${begun?.at ?? document.start}`, version, offered, ...(aborted ? { aborted } : {}) };
}
