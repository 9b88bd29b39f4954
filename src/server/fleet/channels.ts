/** The channels of the served repository, read again after each publication. */

import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { limitsOf, policyOf, readRollout } from '../../rollout/document.ts';
import { abortIn } from '../../rollout/operate.ts';
import type { Files } from '../../system/files.ts';
import type { ChannelDocument } from '../../verify/documents.ts';
import { ROLE_NAMES } from '../../verify/names.ts';
import { channelDocument, readRepository } from '../../verify/publish/repository.ts';
import type { ChannelState } from './fleet.ts';
import { sharedRead } from './shared-read.ts';

export type Channels = ReadonlyMap<string, ChannelState>;

/** The published state: channels by name, and the expiry of each role. */
export type Published = Readonly<{ channels: Channels; expires: ReadonlyMap<string, Date> }>;

/** The channels alone. */
export function createChannels(files: Files, dir: string): () => Promise<Channels> {
  const published = createPublished(files, dir);
  return async () => (await published()).channels;
}

/** The repository in `dir` is verified as by a publisher. */
export function createPublished(files: Files, dir: string): () => Promise<Published> {
  let known: Readonly<{ stamp: string; published: Promise<Published> }> | undefined;
  // Every check-in asks, and many come at once.
  const readStamp = sharedRead(() => stampOf(files, dir));
  return async () => {
    const stamp = await readStamp();
    if (known?.stamp !== stamp) known = { stamp, published: readPublished(files, dir) };
    const { published } = known;
    // A failed read is retried by the next caller.
    published.catch(() => {
      known = undefined;
    });
    return published;
  };
}

/** Every publication ends with a new, different timestamp. */
async function stampOf(files: Files, dir: string): Promise<string> {
  const timestamp = (await files.read(join(dir, 'metadata/timestamp.json'))) ?? new Uint8Array();
  return createHash('sha256').update(timestamp).digest('hex');
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

/** A restarted or reverted rollout gets a new ledger. */
function stateOf({ channel, version, counter, rollout }: ChannelDocument): ChannelState {
  if (rollout === undefined) return { id: version, version };
  const document = readRollout(rollout, `the channel ${channel}`);
  const begun = document.history?.findLast(({ what }) => what === 'started' || what === 'aborted');
  const offered = { policy: policyOf(document, { version, counter }), limits: limitsOf(document) };
  const aborted = abortIn(document);
  return { id: `${version} ${begun?.at ?? document.start}`, version, offered, ...(aborted ? { aborted } : {}) };
}
