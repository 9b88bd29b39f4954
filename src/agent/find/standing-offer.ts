/** Whether the staged release may still start: the channel's last answer about it, and its age. */

import type { UpdateError } from '../../errors.ts';
import type { Release, State } from '../../model.ts';
import { type Closed, closed } from '../../reboot/gates/gate.ts';
import type { Clock } from '../../system/clock.ts';
import type { Found } from '../loop/parts.ts';

export interface StandingOffer {
  /** A release is taken from the channel: an earlier answer, from before it was pulled and returned, no longer counts. */
  taken(): void;
  /** The channel's answer while this release was staged. */
  answered(release: Release, found: Found): void;
  /** The channel could not be checked. */
  unanswered(release: Release, error: UpdateError): void;
  /** Whether a recent answer allows the release to start. `isApplied`: an operator has asked for the reboot. */
  isFresh(state: State, isApplied: boolean): boolean;
  /** Why it has to wait for another answer; undefined if there is no recent answer: then the channel must be checked. */
  objection(state: State, isApplied: boolean): Closed | undefined;
}

/** Kept in memory only: a restarted agent asks again. `next`: the next scheduled check of the channel. */
export function createStandingOffer(clock: Pick<Clock, 'now' | 'monotonicMs'>, next: () => Date): StandingOffer {
  let last: Look | undefined;
  const look = (release: Release, closing?: Closing): void => {
    last = {
      of: nameOf(release),
      at: clock.now().getTime(),
      atMs: clock.monotonicMs(),
      ...(closing ? { closing } : {}),
    };
  };
  const lookAt = (release: Release): Look | undefined => (last?.of === nameOf(release) ? last : undefined);
  /** By both clocks: one stops while the machine sleeps, the other may be set. */
  const isRecent = ({ at, atMs }: Look): boolean =>
    clock.monotonicMs() - atMs < FRESH_MS && Math.abs(clock.now().getTime() - at) < FRESH_MS;

  return {
    taken: () => {
      last = undefined;
    },
    answered: (release, found) => look(release, closingOf(release, found)),
    unanswered: (release, { code }) => {
      // A pulled release stays pulled, even if that could not be recorded yet.
      if (lookAt(release)?.closing?.isPulled) return;
      if (GONE.has(code)) return look(release, gone(release));
      const reason = `whether ${release.version} is still on offer is unknown: the repository could not be checked (${code})`;
      look(release, { code: 'offer-unknown', reason });
    },
    isFresh: (state, isApplied) => {
      if (!isWaiting(state) || state.byHand) return true;
      const said = lookAt(state.release);
      return said !== undefined && isRecent(said) && (!said.closing || (isApplied && !said.closing.isPulled));
    },
    objection: (state, isApplied) => {
      const closing = isWaiting(state) && !state.byHand ? lookAt(state.release)?.closing : undefined;
      if (!closing || (isApplied && !closing.isPulled)) return undefined;
      const command = closing.isPulled ? {} : { command: 'updatectl apply' };
      return closed(closing.code, 'hard', closing.reason, { next: next(), ...command });
    },
  };
}

/** `isPulled`: not even an operator's request starts it. */
type Closing = Readonly<{ code: 'offer-unknown' | 'offer-held'; reason: string; isPulled?: true }>;
/** `of` identifies the release. Without a `closing`, it was on offer. */
type Look = Readonly<{ of: string; at: number; atMs: number; closing?: Closing }>;

const FRESH_MS = 5 * 60_000;

/** A hold that ends on its own keeps a staged release, but does not let it start. */
function closingOf({ version }: Release, found: Found): Closing | undefined {
  // It was named by hand, but the channel offers it, too.
  if (found.found === 'present') return undefined;
  if (found.found !== 'nothing') return gone({ version });
  if (STANDS.has(found.code)) return undefined;
  return { code: 'offer-held', reason: `${version} is held back: ${found.reason}` };
}

const gone = ({ version }: Pick<Release, 'version'>): Closing => ({
  code: 'offer-held',
  reason: `${version} is no longer on offer`,
  isPulled: true,
});

/** The repository answered that the offer no longer exists. */
const GONE: ReadonlySet<string> = new Set(['release-unknown', 'channel-unknown']);

/** A server that counts this host as lost is wrong if the host has not tried yet. */
const STANDS: ReadonlySet<string> = new Set(['staged', 'failed-here']);

const isWaiting = (state: State): state is Extract<State, { kind: 'staged' | 'armed' }> =>
  state.kind === 'staged' || state.kind === 'armed';

const nameOf = ({ version, manifest }: Release): string => `${version} ${manifest ?? ''}`;
