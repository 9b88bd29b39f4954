/** `lock set-max`: sets how many hosts may reboot at once. */

import { UpdateError } from '../../errors.ts';
import { MOST_HOLDERS } from '../../reboot/gates/locks/semaphore-document.ts';
import type { Command } from '../command.ts';
import { LOCK_OPTIONS, lockDesk } from './lock-desk.ts';

export const lockSetMax: Command = {
  name: 'lock set-max',
  summary: 'set how many hosts may reboot at once',
  description:
    'Takes the lock from no host: if more hold it than are now allowed, no other gets it until enough are back. 0 stops all reboots.',
  examples: ['updatectl lock set-max 3', 'updatectl lock set-max 10 --max-failures 2 --group web'],
  arguments: [{ name: '<n>', summary: 'the number of hosts' }],
  options: [{ flags: '--max-failures <n>', summary: 'how many failures to tolerate' }, ...LOCK_OPTIONS],
  run: async (context, input) => {
    const max = count(input.argument(0));
    const failures = input.whole('max-failures');
    const { group, setMax } = await lockDesk(context, input);
    await setMax(max, failures === undefined ? undefined : count(String(failures)));
    context.out.line(`${max} hosts of group ${group} may reboot at once.`);
    context.out.document({ schema: 1, group, max });
    return undefined;
  },
};

function count(text: string): number {
  if (/^\d{1,4}$/.test(text) && Number(text) <= MOST_HOLDERS) return Number(text);
  throw new UpdateError('usage', `“${text}” is not a whole number of at most ${MOST_HOLDERS}.`);
}
