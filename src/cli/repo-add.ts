/** `repo add`: checks a bundle whole and publishes it. */

import { resolve } from 'node:path';
import { auditBundle } from '../bundle/audit.ts';
import { decodePool } from '../bundle/decode-pool.ts';
import { manifestDigest } from '../bundle/manifest.ts';
import { openBundle } from '../bundle/reader.ts';
import { fileSource } from '../system/file-source.ts';
import { addBundle, type BundleFacts } from '../verify/publisher.ts';
import type { Command, Context } from './command.ts';
import { PUBLISHER_OPTIONS, publishing } from './publishing.ts';

export const repoAdd: Command = {
  name: 'repo add',
  summary: 'check a bundle and publish it as a release',
  description:
    'Hosts see it once a channel offers it: `repo promote`. Needs the keys releases, snapshot and timestamp.',
  examples: ['updatectl repo add acme-2.0.bundle --repository /srv/updates --keys ~/keys'],
  arguments: [{ name: '<bundle>', summary: 'a bundle made by `bundle build`' }],
  options: PUBLISHER_OPTIONS,
  run: async (context, input) => {
    const release = await publishing(context, input, async (publisher) => {
      await using source = await fileSource(resolve(context.cwd, input.argument(0)));
      const bytes = source.open(0, context.signal);
      // Awaited here: the file is closed when this function is left.
      return await addBundle(publisher, { bytes, check: (path) => checkBundle(context, path) });
    });
    context.out.line(`Published ${release.product} ${release.version} (counter ${release.counter}).`);
    context.out.line(`Offer it with \`updatectl repo promote ${release.version} --channel …\`.`);
    context.out.document(release);
    return 0;
  },
};

/** Reads every byte before it is signed. */
async function checkBundle(context: Context, path: string): Promise<BundleFacts> {
  const { entry, signal } = context;
  await using source = await fileSource(path);
  const bundle = await openBundle(source, undefined, signal);
  const { product, version, counter, architecture, minAgent, images } = bundle.manifest;
  const total = images.reduce((sum, image) => sum + image.size, 0);
  using bar = context.out.progress('Checking');
  await using pool = decodePool({ entry });
  let done = 0;
  const progress = (count: number): void => {
    done += count;
    bar.update(done, total);
  };
  await auditBundle(bundle, { decode: pool.map, signal, progress });
  const manifest = { sha256: manifestDigest(bundle.manifestBytes), size: bundle.manifestBytes.length };
  return { product, version, counter, architecture, minAgent, manifest };
}
