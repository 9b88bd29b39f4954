/** `repo promote`: offers a release in a channel. */

import { promote } from '../../verify/publish/channels.ts';
import type { Command } from '../command.ts';
import { PRODUCT_OPTION, PUBLISHER_OPTIONS, productFrom, publishing, versionFrom } from './publishing.ts';

export const repoPromote: Command = {
  name: 'repo promote',
  summary: 'offer a release to the hosts of a channel',
  description: 'Needs the keys channels, snapshot and timestamp.',
  examples: ['updatectl repo promote 2.0 --channel stable --repository /srv/updates --keys ~/keys'],
  arguments: [{ name: '<version>', summary: 'a published release' }],
  options: [
    { flags: '--channel <name>', summary: 'the channel', required: true },
    PRODUCT_OPTION,
    { flags: '--allow-downgrade', summary: 'even if the channel already offers a newer release' },
    ...PUBLISHER_OPTIONS,
  ],
  run: async (context, input) => {
    const product = productFrom(input);
    const document = await publishing(context, input, (publisher) =>
      promote(publisher, {
        channel: input.given('channel'),
        version: versionFrom(input.argument(0)),
        allowDowngrade: input.flag('allow-downgrade'),
        ...(product === undefined ? {} : { product }),
      }),
    );
    context.out.line(`The channel ${document.channel} offers ${document.product} ${document.version}.`);
    context.out.document(document);
    return 0;
  },
};
