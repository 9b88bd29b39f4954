/** Whether a release of the repository is for this host, now. Pure. */

import { UpdateError } from '../../errors.ts';
import type { Product, Refusal, Release, State, Version } from '../../model.ts';
import { compareVersions } from '../../version.ts';
import { isRefused } from '../loop/journal.ts';
import type { Found } from '../loop/parts.ts';
import type { Hold } from './releases.ts';

/** A release in the signed metadata. */
export type Candidate = Readonly<{ release: Release; architecture: string; minAgent: string }>;

export type Host = Readonly<{
  product: Product;
  architecture: string;
  agentVersion: string;
  running: Release;
  refusals: readonly Refusal[];
}>;

/** An operator's request beyond the channel's offer. */
export type Wish = Readonly<{ named: boolean; allowDowngrade: boolean }>;

/** Throws for a release that can never run here; returns the decision for any other. */
export function judge(candidate: Candidate, host: Host, state: State, wish: Wish): Found {
  mustFit(candidate, host);
  const { release } = candidate;
  if (isSame(release, host.running)) return superseded(state) ?? nothing('up-to-date', `${release.version} is running`);
  const refusal = isRefused(host.refusals, release);
  if (refusal) {
    const reason = `${release.version} has been refused since ${refusal.at}: ${refusal.reason}`;
    return state.kind === 'staged' && !wish.named ? withdrawn('refused', reason) : nothing('refused', reason);
  }
  if (state.kind === 'staged' && isSame(release, state.release))
    return wish.named === (state.byHand === true)
      ? nothing('staged', `${release.version} is already staged`)
      : { found: 'present', release, ...(wish.named ? { byHand: true } : {}) };
  if (isOlder(release, host.running) && !wish.allowDowngrade)
    return (
      superseded(state) ??
      nothing('downgrade', `${release.version} is older than ${host.running.version}, which is running`)
    );
  return { found: 'offer', release, ...(wish.named ? { byHand: true } : {}) };
}

/** An operator who names a release overrides the channel until the attempt ends, or until the channel's offer is requested. */
export const chosenByHand = ({ version }: Release): Found =>
  nothing('staged', `${version} was chosen by hand, and is staged`);

/** The effect of a hold: nothing new begins, and a staged release that the channel's operator has stopped is dropped. */
export function heldBack({ code, reason, until, step }: Hold, state: State): Found {
  if (state.kind === 'staged' && STOPPED.has(code)) return withdrawn(code, reason);
  if (state.kind === 'staged' && step && step.version !== state.release.version)
    return withdrawn('withdrawn', `the channel now offers ${step.version}`);
  return { ...nothing(code, reason), ...(until === undefined ? {} : { until: new Date(until).toISOString() }) };
}

// The other holds end on their own: a staged release stays, and waits.
const STOPPED: ReadonlySet<string> = new Set(['paused', 'group-held', 'pinned', 'dead-end', 'downgrade', 'braked']);

function mustFit(candidate: Candidate, host: Host): void {
  const { release, architecture, minAgent } = candidate;
  if (release.product !== host.product)
    throw new UpdateError('wrong-product', `The release is for ${release.product}; this host is ${host.product}.`);
  if (architecture !== host.architecture)
    throw new UpdateError(
      'wrong-architecture',
      `The release is for ${architecture}; this host is ${host.architecture}.`,
    );
  if (compareVersions(minAgent as Version, host.agentVersion as Version) > 0)
    throw new UpdateError('agent-too-old', `The release needs agent ${minAgent}; this is ${host.agentVersion}.`);
}

const isSame = (one: Release, other: Release): boolean =>
  one.manifest === undefined || other.manifest === undefined
    ? one.version === other.version
    : one.manifest === other.manifest;

const isOlder = (one: Release, other: Release): boolean =>
  one.counter === undefined || other.counter === undefined
    ? compareVersions(one.version, other.version) < 0
    : one.counter < other.counter;

const withdrawn = (code: string, reason: string): Found => ({ found: 'withdrawn', code, reason });

const nothing = (code: string, reason: string): Found => ({ found: 'nothing', code, reason });

/** A staged release is dropped when the channel returns to the running release. */
const superseded = (state: State): Found | undefined =>
  state.kind === 'staged' ? withdrawn('withdrawn', 'the channel no longer offers it') : undefined;
