/** `repo recover`: repairs a repository after two publishers worked on it unaware of each other. */

import { recoverRepository } from '../../verify/publish/recover.ts';
import type { Command } from '../command.ts';
import { PUBLISHER_OPTIONS, publishing } from './publishing.ts';

export const repoRecover: Command = {
  name: 'repo recover',
  summary: 'restore metadata that was signed and then lost, above all what hosts have seen',
  description:
    'For hosts that refuse the repository as `metadata-rollback` because two publishers worked on it at once. Restores the newest signed file of ' +
    'each role, and gives snapshot and timestamp versions that no host has seen yet. Needs the keys snapshot and ' +
    'timestamp. It also completes a command that was interrupted while publishing, so check the channels afterwards.',
  examples: ['updatectl repo recover --repository /srv/updates --key timestamp.pem --key snapshot.pem'],
  options: PUBLISHER_OPTIONS,
  run: async (context, input) => {
    const recovered = await publishing(context, input, recoverRepository);
    for (const { role, was, is } of recovered)
      context.out.line(`Restored version ${is} of ${role}, which was signed and then lost; version ${was} was in use.`);
    if (recovered.length === 0) context.out.line('No signed metadata had been lost.');
    context.out.line('Hosts follow at their next poll. Check the offers with `updatectl repo verify`.');
    context.out.document({ schema: 1, recovered });
    return 0;
  },
};
