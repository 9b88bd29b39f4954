/** Where this host stands towards what its channel offers, as it tells the fleet server before anything is begun. */

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

/** `wants` what it would begin, `refuses` what has failed here, and neither of what it runs or cannot take. */
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
    // It is told as the failure of the check, which comes to the same judgement.
    if (error instanceof UpdateError) return {};
    throw error;
  }
}

/**
 * A fleet's operator may have a release tried again that has failed here. Whoever steals the server may ask for that, too: so only as often as it
 * costs the host little.
 */
export async function forgive({ journal }: StanceWorld, { version }: Release): Promise<boolean> {
  const failures = (await journal.history(MOST_READ)).filter(
    (one) => one.version === version && one.result === 'rolled-back',
  );
  if (failures.length >= MOST_TRIALS) return false;
  return (await journal.forget(version)) > 0;
}

/** How often one release may take this host down at the word of a server. */
const MOST_TRIALS = 3;
const MOST_READ = 1000;
