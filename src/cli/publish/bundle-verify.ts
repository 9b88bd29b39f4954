/** `updatectl bundle verify`: reads every byte of a bundle and trusts none. */

import { resolve } from 'node:path';
import type { ByteSource } from '../../bundle/byte-source.ts';
import { decodePool } from '../../bundle/decode/pool.ts';
import { manifestDigest } from '../../bundle/manifest.ts';
import { auditBundle } from '../../bundle/publish/audit.ts';
import { type ExpectedManifest, openBundle } from '../../bundle/reader.ts';
import { fileSource } from '../../system/disk/file-source.ts';
import type { Command, Context } from '../command.ts';
import { bytes } from '../units.ts';
import { signedManifest } from './signed-manifest.ts';

export const bundleVerify: Command = {
  name: 'bundle verify',
  summary: 'read and check every byte of a bundle',
  description:
    'Checks headers, padding, every frame, every digest, the verity tree against the root image, and the UKI against both. It does not show who ' +
    'made the bundle: with --repository, the signed metadata of that repository must also name its manifest.',
  examples: ['updatectl bundle verify demo.bundle', 'updatectl bundle verify demo.bundle --repository /srv/updates'],
  arguments: [{ name: '<file>', summary: 'the bundle' }],
  options: [{ flags: '--repository <folder>', summary: 'a repository whose signed metadata must name the bundle' }],
  run: async (context, input) => {
    const path = resolve(context.cwd(), input.argument(0));
    await using source = await fileSource(path);
    const repository = input.text('repository');
    const expected =
      repository === undefined ? undefined : await signedManifest(context, resolve(context.cwd(), repository), source);
    await verify(context, path, source, expected);
    return 0;
  },
};

async function verify(
  { out, signal, entry }: Context,
  path: string,
  source: ByteSource,
  expected: ExpectedManifest | undefined,
): Promise<void> {
  const bundle = await openBundle(source, expected, signal);
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
  out.line(`${path} is intact: ${product} ${version}, ${bytes(source.size)}, manifest ${manifest}`);
  const signed = expected !== undefined;
  out.document({
    schema: 1,
    bundle: path,
    product,
    version,
    counter,
    size: source.size,
    manifest,
    verified: true,
    signed,
  });
}
