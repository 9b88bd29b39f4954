/** `repo list`: the releases of a repository, and what its channels offer. */

import { join } from 'node:path';
import { asUpdateError } from '../../errors.ts';
import { readRollout } from '../../rollout/document.ts';
import { statOf } from '../../system/files.ts';
import { deltasIn } from '../../verify/deltas.ts';
import type { ChannelDocument, ReleaseEntry } from '../../verify/documents.ts';
import { releasePath, storedPath } from '../../verify/names.ts';
import { releasesIn } from '../../verify/publish/publisher.ts';
import { channelDocument, channelNames, type Repository, readRepository } from '../../verify/publish/repository.ts';
import type { Command, Context } from '../command.ts';
import { bytes } from '../units.ts';
import { REPOSITORY_OPTION, repositoryFolder } from './publishing.ts';

export const repoList: Command = {
  name: 'repo list',
  summary: 'list the releases of a repository, and what its channels offer',
  description:
    'Reads only signed metadata, so it is instant; `updatectl repo verify` reads every byte. Shows files that are listed but missing.',
  examples: ['updatectl repo list --repository /srv/updates', 'updatectl repo list --repository /srv/updates --json'],
  options: [REPOSITORY_OPTION],
  run: async (context, input) => {
    const dir = repositoryFolder(context, input);
    const repository = await readRepository(context.files, dir);
    const channels = await channelsOf(context, dir, repository);
    const releases = await releasesOf(dir, repository, channels);
    context.out.table([
      ['PRODUCT', 'VERSION', 'COUNTER', 'FOR', 'SIZE', 'DELTAS', 'OFFERED IN'],
      ...releases.map(releaseRow),
    ]);
    context.out.line();
    context.out.table([['CHANNEL', 'OFFERS', 'SINCE', 'TO'], ...channels.map(channelRow)]);
    context.out.document({ schema: 1, releases, channels });
    return 0;
  },
};

type ListedRelease = Omit<ReleaseEntry, 'schema'> &
  Readonly<{
    size: number;
    deltas: readonly Readonly<{ kind: 'blocks' | 'patch'; from?: string; size: number }>[];
    offeredIn: readonly string[];
    /** Files that the repository lists but does not have. */
    missing: readonly string[];
  }>;

type Offered = Pick<ChannelDocument, 'product' | 'version' | 'counter' | 'published'> & Readonly<{ to: string }>;
type ListedChannel = Readonly<{ channel: string }> & (Offered | Readonly<{ fault: string }>);

/** An unreadable channel does not hide the others. */
const channelsOf = ({ files }: Context, dir: string, repository: Repository): Promise<ListedChannel[]> =>
  Promise.all(
    channelNames(repository).map((channel) =>
      channelDocument({ files, dir }, repository, channel).then(
        (document) => (document ? { channel, ...offeredBy(document) } : { channel, fault: 'It is no longer listed.' }),
        (error: unknown) => ({ channel, fault: asUpdateError(error).message }),
      ),
    ),
  );

const offeredBy = (document: ChannelDocument): Offered => {
  const { product, version, counter, published } = document;
  return { product, version, counter, published, to: audienceOf(document) };
};

function audienceOf({ rollout, channel }: ChannelDocument): string {
  if (rollout === undefined) return 'all hosts';
  try {
    const { start, pause } = readRollout(rollout, channel);
    return pause ? `no more hosts: ${pause.reason}` : `a rollout from ${start}`;
  } catch {
    return 'a rollout that this version does not understand';
  }
}

/** The newest first. */
async function releasesOf(
  dir: string,
  repository: Repository,
  channels: readonly ListedChannel[],
): Promise<ListedRelease[]> {
  const listed = repository.releases.document.signed.targets;
  const all = deltasIn(listed);
  const found = releasesIn(repository).map(async ({ schema: _, ...release }) => {
    const path = releasePath(release.product, release.version);
    const entry = listed.get(path);
    const deltas = all.filter((one) => one.manifest === release.manifest.sha256);
    const files = [...(entry ? [storedPath(path, entry.hashes.sha256)] : []), ...deltas.map((one) => one.path)];
    const there = await Promise.all(files.map((one) => statOf(join(dir, one))));
    return {
      ...release,
      size: entry?.length ?? 0,
      deltas: deltas.map(({ kind, size, from }) => ({ kind, size, ...(from ? { from: from.version } : {}) })),
      offeredIn: channels.flatMap((one) =>
        'version' in one && one.product === release.product && one.version === release.version ? [one.channel] : [],
      ),
      missing: files.filter((_file, index) => there[index] === undefined),
    };
  });
  return (await Promise.all(found)).sort(
    (one, other) => one.product.localeCompare(other.product) || other.counter - one.counter,
  );
}

const releaseRow = ({ missing, ...one }: ListedRelease): string[] => [
  one.product,
  one.version,
  String(one.counter),
  one.architecture,
  bytes(one.size),
  one.deltas.map(({ kind, from }) => (kind === 'blocks' ? 'blocks' : `from ${from}`)).join(', '),
  [...one.offeredIn, ...missing.map((file) => `MISSING ${file}`)].join(', '),
];

const channelRow = (one: ListedChannel): string[] =>
  'fault' in one
    ? [one.channel, `DAMAGED: ${one.fault}`]
    : [one.channel, `${one.product} ${one.version}`, one.published, one.to];
