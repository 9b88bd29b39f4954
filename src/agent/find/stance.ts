/** This host's position on its channel's offer, as reported to the fleet server before anything begins. */

import { UpdateError } from '../../errors.ts';
import type { CheckIn } from '../../formats/check-in.ts';
import type { Release, State } from '../../model.ts';
import { isRefused, type Journal } from '../loop/journal.ts';
import { type Host, judge } from './judge.ts';
import type { OnOffer } from './releases.ts';

export type StanceWorld = Readonly<{
  host: Omit<Host, 'running' | 'refusals'>;
  journal: Pick<Journal, 'refusals' | 'forget' | 'history'>;
}>;

/** `wants` a release it would begin, `refuses` one that failed here; neither for one that it runs or cannot install. */
export async function stanceOf(
  { host, journal }: StanceWorld,
  { trusted, allowDowngrade }: OnOffer,
  running: Release,
  state: State,
): Promise<Pick<CheckIn, 'wants' | 'refuses'>> {
  const { release } = trusted;
  const refusals = await journal.refusals();
  if (release.version === running.version) return {};
  if (isRefused(refusals, release)) return { refuses: release.version };
  try {
    const found = judge(trusted, { ...host, running, refusals }, state, { named: false, allowDowngrade });
    const isTaken =
      found.found === 'offer' || found.found === 'present' || (found.found === 'nothing' && found.code === 'staged');
    return isTaken ? { wants: release.version } : {};
  } catch (error) {
    // The check reaches the same judgement, and reports it as its failure.
    if (error instanceof UpdateError) return {};
    throw error;
  }
}

/**
 * A fleet's operator may ask for another try of a release that failed here. A stolen server can ask for that, too: so only as often as it
 * costs the host little.
 */
export async function forgive({ journal }: StanceWorld, { version }: Release): Promise<boolean> {
  const failures = (await journal.history(MOST_READ)).filter(
    (one) => one.version === version && one.result === 'rolled-back',
  );
  if (failures.length >= MOST_TRIALS) return false;
  return (await journal.forget(version)) > 0;
}

/** How often one release may take this host down at a server's request. */
const MOST_TRIALS = 3;
const MOST_READ = 1000;
