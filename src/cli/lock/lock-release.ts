/** `lock release`: frees the reboot lock of a host that will not come back. */

import type { Command } from '../command.ts';
import { LOCK_OPTIONS, lockDesk } from './lock-desk.ts';

export const lockRelease: Command = {
  name: 'lock release',
  summary: 'free the reboot lock of a host that will not come back',
  description: 'Also clears the host’s failure. If the host does come back, its own release is a harmless no-op.',
  examples: ['updatectl lock release web-17', 'updatectl lock release web-17 --endpoint https://etcd1:2379'],
  arguments: [{ name: '<host>', summary: 'its name or id, as shown by `lock status`' }],
  options: LOCK_OPTIONS,
  run: async (context, input) => {
    const { group, release } = await lockDesk(context, input);
    const host = input.argument(0);
    await release(host);
    context.out.line(`${host} no longer holds the reboot lock of group ${group}.`);
    context.out.document({ schema: 1, group, released: host });
    return undefined;
  },
};
