/** `bundle patch`: adds patches to a release of a repository. */

import { resolve } from 'node:path';
import { UpdateError } from '../../errors.ts';
import type { Command } from '../command.ts';
import { bytes } from '../units.ts';
import { publishDeltas } from './building-deltas.ts';
import { PUBLISHER_OPTIONS, publisherFrom } from './publishing.ts';

export const bundlePatch: Command = {
  name: 'bundle patch',
  summary: 'make patches to a release from older ones, and publish them',
  description:
    'A host that runs exactly one of the old bundles then downloads only its patch. The new bundle must be in the repository ' +
    'already. Needs the keys releases, snapshot and timestamp.',
  examples: ['updatectl bundle patch --from acme-1.9.bundle --from acme-1.8.bundle acme-2.0.bundle --keys ~/keys'],
  arguments: [{ name: '<bundle>', summary: 'the new bundle' }],
  options: [
    { flags: '--from <bundle>', summary: 'an old bundle; may be repeated', repeat: true },
    ...PUBLISHER_OPTIONS,
  ],
  run: async (context, input) => {
    const patchFrom = input.list('from').map((path) => resolve(context.cwd(), path));
    if (patchFrom.length === 0) throw new UpdateError('usage', 'Pass an old bundle with --from.');
    const bundle = resolve(context.cwd(), input.argument(0));
    const { alone, ...site } = await publisherFrom(context, input);
    const added = await publishDeltas(context, site, { bundle, patchFrom }, alone);
    for (const { entry, size } of added)
      context.out.line(`Published the patch ${entry.from?.version} → ${entry.version}: ${bytes(size)}.`);
    context.out.document({ schema: 1, patches: added.map(({ entry, size }) => ({ ...entry, size })) });
    return 0;
  },
};
