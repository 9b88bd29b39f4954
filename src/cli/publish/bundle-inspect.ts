/** `updatectl bundle inspect`: the contents of a bundle, by its own manifest. */

import { resolve } from 'node:path';
import { type BundleSummary, summarize } from '../../bundle/publish/inspect.ts';
import { openBundle } from '../../bundle/reader.ts';
import { UpdateError } from '../../errors.ts';
import { fileSource } from '../../system/disk/file-source.ts';
import type { Command, Context } from '../command.ts';
import { bytes } from '../units.ts';
import { inspectAgainst } from './bundle-against.ts';

export const bundleInspect: Command = {
  name: 'bundle inspect',
  summary: 'show what the manifest of a bundle lists',
  description:
    'Reads only the manifest; `bundle verify` reads every byte. With --against, shows how much a host on an older release ' +
    'downloads, and which files cause it: the size of a single file is its share of the frames that hold it. ' +
    '--exact builds patch and blocks file in the folder of the bundle, as `repo add` would, and deletes them; this takes minutes per gigabyte.',
  examples: [
    'updatectl bundle inspect demo.bundle',
    'updatectl bundle inspect demo.bundle --json',
    'updatectl bundle inspect demo-2.0.bundle --against demo-1.9.bundle',
  ],
  arguments: [{ name: '<file>', summary: 'the bundle' }],
  options: [
    { flags: '--against <bundle>', summary: 'an older bundle of the same product' },
    { flags: '--exact', summary: 'with --against: build the patch and the blocks file, and show their exact sizes' },
  ],
  run: async (context, input) => {
    const path = resolve(context.cwd(), input.argument(0));
    const [against, isExact] = [input.text('against'), input.flag('exact')];
    if (isExact && against === undefined) throw new UpdateError('usage', '--exact needs --against.');
    await using source = await fileSource(path);
    const bundle = await openBundle(source, undefined, context.signal);
    const summary = summarize(bundle);
    show(context, summary);
    const question = against === undefined ? undefined : { against: resolve(context.cwd(), against), isExact };
    const comparison = question && (await inspectAgainst(context, { bundle, path, ...question }));
    context.out.document({ ...summary, bundle: path, ...(comparison ? { against: comparison } : {}) });
    return 0;
  },
};

function show({ out }: Context, summary: BundleSummary): void {
  out.line(
    `${summary.product} ${summary.version} (release ${summary.counter}, ${summary.architecture}), ${bytes(summary.size)}`,
  );
  out.line(`needs agent ${summary.minAgent} or newer`);
  out.line(`manifest  ${summary.manifest}`);
  out.line(`root hash ${summary.rootHash}`);
  out.line();
  out.table([
    ['image', 'kind', 'size', 'packed', 'ratio', 'frames'],
    ...summary.images.map((image) => [
      image.role,
      image.kind,
      bytes(image.size),
      bytes(image.packed),
      `${Math.round(image.ratio * 100)} %`,
      `${image.frames} of ${image.frameSize / 1024} KiB`,
    ]),
  ]);
}
