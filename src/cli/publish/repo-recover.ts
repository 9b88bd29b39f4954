/** `repo recover`: cures a repository after two publishers that knew nothing of each other. */

import { recoverRepository } from '../../verify/publish/recover.ts';
import type { Command } from '../command.ts';
import { PUBLISHER_OPTIONS, publishing } from './publishing.ts';

export const repoRecover: Command = {
  name: 'repo recover',
  summary: 'restore metadata that was signed and then lost, above all what hosts have seen',
  description:
    'For hosts that refuse the repository as `metadata-rollback` because two publishers have worked on it at once. The newest signed file of ' +
    'each role is put into use again, and snapshot and timestamp get versions that no host has seen yet. Needs the keys snapshot and ' +
    'timestamp. A command that was cut off while it published is completed by this as well, so look at the channels afterwards.',
  examples: ['updatectl repo recover --repository /srv/updates --key timestamp.pem --key snapshot.pem'],
  options: PUBLISHER_OPTIONS,
  run: async (context, input) => {
    const recovered = await publishing(context, input, recoverRepository);
    for (const { role, was, is } of recovered)
      context.out.line(`Version ${is} of ${role}, signed and lost, is in use again; it was version ${was}.`);
    if (recovered.length === 0) context.out.line('Nothing that was signed had been lost.');
    context.out.line('Hosts follow from their next poll. See what is offered with `updatectl repo verify`.');
    context.out.document({ schema: 1, recovered });
    return 0;
  },
};
