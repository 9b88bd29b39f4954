/** `updatectl bundle inspect`: what a bundle says it holds. */

import { resolve } from 'node:path';
import { type BundleSummary, summarize } from '../bundle/inspect.ts';
import { openBundle } from '../bundle/reader.ts';
import { fileSource } from '../system/file-source.ts';
import type { Command, Context } from './command.ts';
import { bytes } from './units.ts';

export const bundleInspect: Command = {
  name: 'bundle inspect',
  summary: 'show what a bundle says it holds',
  description: 'Reads the manifest only; `bundle verify` reads every byte.',
  examples: ['updatectl bundle inspect demo.bundle', 'updatectl bundle inspect demo.bundle --json'],
  arguments: [{ name: '<file>', summary: 'the bundle' }],
  run: async (context, input) => {
    const path = resolve(context.cwd, input.argument(0));
    await using source = await fileSource(path);
    const summary = summarize(await openBundle(source, undefined, context.signal));
    show(context, summary);
    context.out.document({ ...summary, bundle: path });
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
