/** `lock release`: frees what a host holds that will not come back. */

import type { Command } from '../command.ts';
import { LOCK_OPTIONS, lockDesk } from './lock-desk.ts';

export const lockRelease: Command = {
  name: 'lock release',
  summary: 'free what a host holds that will not come back',
  description:
    'Also forgets that the host failed. If it does come back, it gives back what it does not hold any more, which harms nobody.',
  examples: ['updatectl lock release web-17', 'updatectl lock release web-17 --endpoint https://etcd1:2379'],
  arguments: [{ name: '<host>', summary: 'its name or its id, as `lock status` shows them' }],
  options: LOCK_OPTIONS,
  run: async (context, input) => {
    const { group, release } = await lockDesk(context, input);
    const host = input.argument(0);
    await release(host);
    context.out.line(`${host} does not hold the lock of the group ${group} any more.`);
    context.out.document({ schema: 1, group, released: host });
    return undefined;
  },
};
