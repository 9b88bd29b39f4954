/** Bundles a program and all its packages into one file. */

import { rolldown } from 'rolldown';

/** Writes `output` from `input`; the same sources give the same bytes. */
export async function bundleInto(input: string, output: string): Promise<void> {
  const bundle = await rolldown({ input, platform: 'node', transform: { target: 'node24' } });
  // Packages that are not ES modules ask for Node's own modules when they run.
  const banner =
    'import { createRequire as createRequireOfRelease } from "node:module"; const require = createRequireOfRelease(import.meta.url);';
  await bundle.write({ file: output, format: 'esm', codeSplitting: false, banner });
  await bundle.close();
}
