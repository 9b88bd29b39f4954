/** Whether what is staged may still be started: what the channel said of it when it was last asked, and how long ago that is. */

import type { UpdateError } from '../../errors.ts';
import type { Release, State } from '../../model.ts';
import { type Closed, closed } from '../../reboot/gates/gate.ts';
import type { Clock } from '../../system/clock.ts';
import type { Found } from '../loop/parts.ts';

export interface StandingOffer {
  /** A release is taken from the channel: what was said of it before, when it was pulled and is back, counts no more. */
  taken(): void;
  /** What the channel has said while this release was staged. */
  answered(release: Release, found: Found): void;
  /** The channel could not be asked. */
  unanswered(release: Release, error: UpdateError): void;
  /** Whether the release may be started by what was said a moment ago. `isApplied`: an operator has asked for the reboot. */
  isFresh(state: State, isApplied: boolean): boolean;
  /** Why it has to wait for another answer; undefined where there is none yet, or none any more: then the channel is to be asked. */
  objection(state: State, isApplied: boolean): Closed | undefined;
}

/** Kept in memory only: an agent that is started anew asks anew. `next`: when the channel is asked again without being told to. */
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
  /** By both clocks: one stands still while the machine sleeps, the other may be set. */
  const isRecent = ({ at, atMs }: Look): boolean =>
    clock.monotonicMs() - atMs < FRESH_MS && Math.abs(clock.now().getTime() - at) < FRESH_MS;

  return {
    taken: () => {
      last = undefined;
    },
    answered: (release, found) => look(release, closingOf(release, found)),
    unanswered: (release, { code }) => {
      // What was pulled is pulled, also where that could not be written down yet.
      if (lookAt(release)?.closing?.isPulled) return;
      if (GONE.has(code)) return look(release, gone(release));
      const reason = `whether ${release.version} is still on offer is not known: the repository could not be asked (${code})`;
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

/** `isPulled`: not even an operator's word starts it. */
type Closing = Readonly<{ code: 'offer-unknown' | 'offer-held'; reason: string; isPulled?: true }>;
/** `of` tells one release from another. Without a `closing`, it was on offer. */
type Look = Readonly<{ of: string; at: number; atMs: number; closing?: Closing }>;

const FRESH_MS = 5 * 60_000;

/** A hold that ends by itself leaves what is staged where it is, but does not let it start. */
function closingOf({ version }: Release, found: Found): Closing | undefined {
  // It was named by hand, and the channel offers it, too.
  if (found.found === 'present') return undefined;
  if (found.found !== 'nothing') return gone({ version });
  if (STANDS.has(found.code)) return undefined;
  return { code: 'offer-held', reason: `${version} is held back: ${found.reason}` };
}

const gone = ({ version }: Pick<Release, 'version'>): Closing => ({
  code: 'offer-held',
  reason: `${version} is not on offer any more`,
  isPulled: true,
});

/** The repository has answered, and offers nothing that it has. */
const GONE: ReadonlySet<string> = new Set(['release-unknown', 'channel-unknown']);

/** A server that has given this host up is mistaken about one that has not tried yet. */
const STANDS: ReadonlySet<string> = new Set(['staged', 'failed-here']);

const isWaiting = (state: State): state is Extract<State, { kind: 'staged' | 'armed' }> =>
  state.kind === 'staged' || state.kind === 'armed';

const nameOf = ({ version, manifest }: Release): string => `${version} ${manifest ?? ''}`;
