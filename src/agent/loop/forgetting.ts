/** Forgets on an operator's request: refusals, or the time before which no clock is trusted. */

import { UpdateError } from '../../errors.ts';
import type { ForgetRequest, Reply } from '../../protocol.ts';
import type { Journal } from './journal.ts';

type ForgettingWorld = Readonly<{
  journal: Pick<Journal, 'forget'>;
  /** The waived moment, if there was one. */
  waiveClock(): Promise<string | undefined>;
}>;

export async function forget(
  { journal, waiveClock }: ForgettingWorld,
  { version, clock }: ForgetRequest,
): Promise<Reply> {
  if (clock) return waivedClock(await waiveClock());
  const count = await journal.forget(version);
  if (count === 0) throw new UpdateError('nothing-refused');
  return { schema: 1, result: 'done', message: `${count} refusal${count === 1 ? '' : 's'} lifted.` };
}

const waivedClock = (until: string | undefined): Reply =>
  until === undefined
    ? { schema: 1, result: 'nothing', message: 'No signing time is recorded.' }
    : { schema: 1, result: 'done', message: `The clock is now trusted even before ${until}.` };
