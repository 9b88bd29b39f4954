/** Bundles a program and all its packages into one file. */

import { join } from 'node:path';
import { type RolldownOptions, rolldown } from 'rolldown';

/** Writes `output` from `input`; the same sources give the same bytes. */
export async function bundleInto(input: string, output: string): Promise<void> {
  const decoder = await decoderText();
  const load = (id: string): string | undefined =>
    id === join(BUNDLE, 'decoder.ts') ? `export const DECODER = ${JSON.stringify(decoder)};` : undefined;
  const bundle = await rolldown({ ...OPTIONS, input, plugins: [{ name: 'decoder-inside', load }] });
  // Packages that are not ES modules ask for Node's own modules when they run.
  const banner =
    'import { createRequire as createRequireOfRelease } from "node:module"; const require = createRequireOfRelease(import.meta.url);';
  await bundle.write({ file: output, format: 'esm', codeSplitting: false, banner });
  await bundle.close();
}

/** The program of a decoding thread: one that loaded the whole file would hold 10 MB more. */
async function decoderText(): Promise<string> {
  const bundle = await rolldown({ ...OPTIONS, input: join(BUNDLE, 'decode-worker.ts') });
  const { output } = await bundle.generate({ format: 'cjs', codeSplitting: false });
  await bundle.close();
  return output[0].code;
}

const BUNDLE = join(import.meta.dirname, '../src/bundle');
const OPTIONS: RolldownOptions = { platform: 'node', transform: { target: 'node24' } };
