/** `updatectl bundle inspect`: what a bundle says it holds. */

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
    'Reads the manifest only; `bundle verify` reads every byte. With --against it says how much a host on an older release ' +
    'fetches, and which files cost the bytes: the sizes of single files are shares of the frames that hold them. ' +
    '--exact builds patch and blocks as `repo add` would, beside the bundle, and throws them away; it takes minutes for a gigabyte.',
  examples: [
    'updatectl bundle inspect demo.bundle',
    'updatectl bundle inspect demo.bundle --json',
    'updatectl bundle inspect demo-2.0.bundle --against demo-1.9.bundle',
  ],
  arguments: [{ name: '<file>', summary: 'the bundle' }],
  options: [
    { flags: '--against <bundle>', summary: 'an older bundle of the same product' },
    { flags: '--exact', summary: 'with --against: build the patch and the blocks, and say their sizes to the byte' },
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
