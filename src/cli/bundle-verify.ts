/** `updatectl bundle verify`: reads every byte of a bundle and believes none. */

import { resolve } from 'node:path';
import { auditBundle } from '../bundle/audit.ts';
import { decodePool } from '../bundle/decode-pool.ts';
import { manifestDigest } from '../bundle/manifest.ts';
import { openBundle } from '../bundle/reader.ts';
import { fileSource } from '../system/file-source.ts';
import type { Command, Context } from './command.ts';
import { bytes } from './units.ts';

export const bundleVerify: Command = {
  name: 'bundle verify',
  summary: 'read every byte of a bundle and check it',
  description:
    'Headers, padding, every frame, every digest, the verity tree against the root image, and the UKI against both. It does not say who ' +
    'made the bundle: that is what the signatures of a repository are for.',
  examples: ['updatectl bundle verify demo.bundle'],
  arguments: [{ name: '<file>', summary: 'the bundle' }],
  run: async (context, input) => {
    const path = resolve(context.cwd, input.argument(0));
    await using source = await fileSource(path);
    await verify(context, path, source);
    return 0;
  },
};

async function verify(
  { out, signal, entry }: Context,
  path: string,
  source: Parameters<typeof openBundle>[0],
): Promise<void> {
  const bundle = await openBundle(source, undefined, signal);
  const total = bundle.manifest.images.reduce((sum, image) => sum + image.size, 0);
  await using pool = decodePool({ entry });
  using bar = out.progress('verifying');
  let done = 0;
  const progress = (more: number): void => {
    done += more;
    bar.update(done, total);
  };
  await auditBundle(bundle, { decode: pool.map, signal, progress });
  const manifest = manifestDigest(bundle.manifestBytes);
  const { product, version, counter } = bundle.manifest;
  out.line(`${path} is whole: ${product} ${version}, ${bytes(source.size)}, manifest ${manifest}`);
  out.document({ schema: 1, bundle: path, product, version, counter, size: source.size, manifest, verified: true });
}
