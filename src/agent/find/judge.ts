/** Whether a release that the repository names is one for this host, now. Pure. */

import { UpdateError } from '../../errors.ts';
import type { Product, Refusal, Release, State, Version } from '../../model.ts';
import { compareVersions } from '../../version.ts';
import { isRefused } from '../loop/journal.ts';
import type { Found } from '../loop/parts.ts';
import type { Hold } from './releases.ts';

/** What the signed metadata says of a release. */
export type Candidate = Readonly<{ release: Release; architecture: string; minAgent: string }>;

export type Host = Readonly<{
  product: Product;
  architecture: string;
  agentVersion: string;
  running: Release;
  refusals: readonly Refusal[];
}>;

/** What an operator asked for beyond the channel's offer. */
export type Wish = Readonly<{ named: boolean; allowDowngrade: boolean }>;

/** Throws for a release that can never run here; answers what to do with any other. */
export function judge(candidate: Candidate, host: Host, state: State, wish: Wish): Found {
  mustFit(candidate, host);
  const { release } = candidate;
  if (isSame(release, host.running)) return superseded(state) ?? nothing('up-to-date', `${release.version} is running`);
  const refusal = isRefused(host.refusals, release);
  if (refusal) {
    const reason = `${release.version} is refused since ${refusal.at}: ${refusal.reason}`;
    return state.kind === 'staged' && !wish.named ? withdrawn('refused', reason) : nothing('refused', reason);
  }
  if (state.kind === 'staged' && isSame(release, state.release))
    return wish.named === (state.byHand === true)
      ? nothing('staged', `${release.version} is staged already`)
      : { found: 'present', release, ...(wish.named ? { byHand: true } : {}) };
  if (isOlder(release, host.running) && !wish.allowDowngrade)
    return (
      superseded(state) ??
      nothing('downgrade', `${release.version} is older than ${host.running.version}, which is running`)
    );
  return { found: 'offer', release, ...(wish.named ? { byHand: true } : {}) };
}

/** Who has named a release has answered for it: the channel is heard again when the attempt has ended, or when it is asked for its offer. */
export const chosenByHand = ({ version }: Release): Found =>
  nothing('staged', `${version} was chosen by hand, and is staged`);

/** What a hold means: nothing new, and a staged release that its operator has stopped is given up. */
export function heldBack({ code, reason, until, step }: Hold, state: State): Found {
  if (state.kind === 'staged' && STOPPED.has(code)) return withdrawn(code, reason);
  if (state.kind === 'staged' && step && step.version !== state.release.version)
    return withdrawn('withdrawn', `the channel offers ${step.version} now`);
  return { ...nothing(code, reason), ...(until === undefined ? {} : { until: new Date(until).toISOString() }) };
}

// The others end by themselves: what is staged stays, and waits.
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

/** A staged release is dropped when the channel goes back to what is running. */
const superseded = (state: State): Found | undefined =>
  state.kind === 'staged' ? withdrawn('withdrawn', 'the channel no longer offers it') : undefined;
