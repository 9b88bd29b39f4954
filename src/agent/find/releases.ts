/** The sources of releases: this host's repository, one on a stick, or a loose bundle that the repository lists. */

import { join } from 'node:path';
import { type ExpectedManifest, manifestIdentity } from '../../bundle/reader.ts';
import { UpdateError } from '../../errors.ts';
import type { MachineId, Product, Release, Version } from '../../model.ts';
import { policyOf, readRollout } from '../../rollout/document.ts';
import { judgeHost, type Ruling } from '../../rollout/rollout.ts';
import { type FileSource, fileSource } from '../../system/disk/file-source.ts';
import { statOf } from '../../system/files.ts';
import type { Http } from '../../system/http/http.ts';
import { httpSource, type Resumption, rangeSources } from '../../system/http/source.ts';
import { acceptBundle, type Trust, type TrustedRelease, type TrustedRepository } from '../../verify/client.ts';
import type { TrustedDelta } from '../../verify/deltas.ts';
import { dirMetadata, fileUrl, httpMetadata, type MetadataMirror } from '../../verify/metadata-fetch.ts';
import type { RemoteFile } from '../install/delta/world.ts';

/** An operator's request: a version, another place, or both; neither means the channel's offer. */
export type Asked = Readonly<{
  version?: string;
  from?: string;
  /** The staged release was named by hand and stays, whatever the channel offers. */
  stays?: true;
}>;

/** A hold on the channel's rollout for this host. */
export type Hold = Omit<Extract<Ruling, { result: 'hold' }>, 'code'> & Readonly<{ code: string }>;

/** A release, and whether the channel's operator signed a downgrade; or why there is none for this host yet. */
export type Offered = Readonly<{ trusted: TrustedRelease; allowDowngrade: boolean } | { hold: Hold }>;

/** A release that the channel offers this host. */
export type OnOffer = Extract<Offered, { trusted: unknown }>;

export interface Releases {
  /** The requested release, from signed metadata that is fresh at `now`; otherwise the channel's release for a host that runs this. */
  find(asked: Asked, running: Release, now: Date, signal: AbortSignal): Promise<Offered>;
  /** The bytes of a release that was chosen earlier, perhaps before a restart. */
  open(release: Release, now: Date, signal: AbortSignal): Promise<OpenedRelease>;
}

/** `mirrors` are the single places of the bundle; a delta is opened when it is chosen. */
export type OpenedRelease = RemoteFile &
  Readonly<{
    expected: ExpectedManifest;
    deltas: readonly TrustedDelta[];
    openDelta(delta: TrustedDelta): Promise<RemoteFile>;
  }>;

export type ReleasesWorld = Readonly<{
  product: Product;
  channel: string;
  /** This host's group and id in the fleet; read only if there is a rollout. */
  group: string;
  machine(): Promise<MachineId>;
  /** The places of the repository, the best one first. */
  urls: readonly [string, ...string[]];
  http: Http;
  resumption: Resumption;
  trust(mirrors: readonly MetadataMirror[]): Trust;
}>;

/** Releases for this host. The place of a found release is remembered until it is opened. */
export function createReleases(world: ReleasesWorld): Releases {
  const places = new Map<string, Place>();
  const refresh = (place: Place, now: Date, signal: AbortSignal): Promise<TrustedRepository> => {
    const mirrors = place.kind === 'folder' ? [dirMetadata(place.path)] : httpMetadata(world.http, world.urls);
    return world.trust(mirrors).refresh(now, signal);
  };
  return {
    find: async (asked, running, now, signal) => {
      const place = await placeOf(asked.from);
      const trusted = await refresh(place, now, signal);
      const named = await nameRelease(world, trusted, place, asked, signal);
      const found = named ? { trusted: named, allowDowngrade: false } : await onOffer(world, trusted, running, now);
      if ('trusted' in found) places.set(found.trusted.manifest.sha256, place);
      return found;
    },
    open: async (release, now, signal) => {
      const place = places.get(release.manifest ?? '') ?? SERVER;
      const trusted = await refresh(place, now, signal);
      const found = trusted.releases().find((one) => one.manifest.sha256 === release.manifest);
      if (!found) throw new UpdateError('release-unknown', `The repository no longer lists ${release.version}.`);
      return opened(world, place, found);
    },
  };
}

type Place = Readonly<{ kind: 'server' } | { kind: 'folder' | 'bundle'; path: string }>;
const SERVER: Place = { kind: 'server' };

async function placeOf(from: string | undefined): Promise<Place> {
  if (from === undefined) return SERVER;
  const stat = await statOf(from);
  if (!stat) throw new UpdateError('usage', `${from} does not exist.`);
  return { kind: stat.isDirectory() ? 'folder' : 'bundle', path: from };
}

/** A release that an operator names, regardless of any rollout. */
async function nameRelease(
  world: ReleasesWorld,
  trusted: TrustedRepository,
  place: Place,
  asked: Asked,
  signal: AbortSignal,
): Promise<TrustedRelease | undefined> {
  if (place.kind === 'bundle') return releaseOfBundle(trusted, place.path, signal);
  return asked.version === undefined ? undefined : trusted.release(world.product, asked.version as Version);
}

/** The channel's current release for this host. */
async function onOffer(
  { channel, group, machine }: ReleasesWorld,
  trusted: TrustedRepository,
  running: Release,
  now: Date,
): Promise<Offered> {
  const { product, version, counter, rollout } = await trusted.channel(channel);
  if (rollout === undefined) return { trusted: await trusted.release(product, version), allowDowngrade: false };
  const policy = policyOf(readRollout(rollout, `the channel ${channel}`), { version, counter });
  const verdict = judgeHost(policy, { machine: await machine(), group, running }, now.getTime());
  if (verdict.result === 'hold') return { hold: verdict };
  const wanted = verdict.result === 'offer' ? verdict.step.version : running.version;
  return { trusted: await trusted.release(product, wanted), allowDowngrade: policy.allowDowngrade };
}

/** A loose bundle is accepted only if the repository lists its manifest; nothing of it is parsed before. */
async function releaseOfBundle(trusted: TrustedRepository, path: string, signal: AbortSignal): Promise<TrustedRelease> {
  await using source = await fileSource(path);
  const { sha256 } = await manifestIdentity(source, signal);
  return acceptBundle(trusted, sha256);
}

async function opened(world: ReleasesWorld, place: Place, release: TrustedRelease): Promise<OpenedRelease> {
  const { manifest, bundle, deltas } = release;
  // A loose bundle comes without deltas.
  const isLoose = place.kind === 'bundle';
  return {
    ...(isLoose ? local(await fileSource(place.path)) : await fileAt(world, place, bundle)),
    expected: manifest,
    deltas: isLoose ? [] : deltas,
    openDelta: (delta) => fileAt(world, place, delta),
  };
}

/** A file of the repository. */
async function fileAt(
  { http, urls, resumption }: ReleasesWorld,
  place: Place,
  { path, size }: Readonly<{ path: string; size: number }>,
): Promise<RemoteFile> {
  if (place.kind === 'folder') return local(await fileSource(join(place.path, path)));
  const places = urls.map((url) => fileUrl(url, path));
  return { source: httpSource(http, places, size, resumption), mirrors: rangeSources(http, places, size) };
}

const local = (file: FileSource): RemoteFile => ({
  source: file,
  mirrors: [file],
  [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
});
