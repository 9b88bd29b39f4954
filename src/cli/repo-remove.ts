/** `repo remove`: takes a release out of a repository. */

import { removeRelease } from '../verify/publisher.ts';
import type { Command } from './command.ts';
import { PRODUCT_OPTION, PUBLISHER_OPTIONS, productFrom, publishing, versionFrom } from './publishing.ts';

export const repoRemove: Command = {
  name: 'repo remove',
  summary: 'take a release out of the repository and delete its file',
  description: 'Needs the keys releases, snapshot and timestamp. A release that a channel offers cannot be removed.',
  examples: ['updatectl repo remove 1.0 --repository /srv/updates --keys ~/keys'],
  arguments: [{ name: '<version>', summary: 'a published release' }],
  options: [PRODUCT_OPTION, ...PUBLISHER_OPTIONS],
  run: async (context, input) => {
    const version = versionFrom(input.argument(0));
    await publishing(context, input, (publisher) => removeRelease(publisher, version, productFrom(input)));
    context.out.line(`Removed ${version}.`);
    context.out.document({ schema: 1, removed: version });
    return 0;
  },
};
