/** Bundles a program and all its packages into one file. */

import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type RolldownOptions, rolldown } from 'rolldown';

/** Writes `output` from `input`; the same sources give the same bytes. */
export async function bundleInto(input: string, output: string): Promise<void> {
  const decoder = await decoderText();
  const load = (id: string): string | undefined =>
    id === join(DECODE, 'decoder.ts') ? `export const DECODER = ${JSON.stringify(decoder)};` : undefined;
  const bundle = await rolldown({
    ...OPTIONS,
    input,
    plugins: [{ name: 'decoder-inside', load }],
  });
  // CommonJS packages require Node's own modules at run time.
  const banner =
    'import { createRequire as createRequireOfRelease } from "node:module"; const require = createRequireOfRelease(import.meta.url);';
  const { output: made } = await bundle.generate({ format: 'esm', codeSplitting: false, banner });
  await bundle.close();
  await mkdir(dirname(output), { recursive: true });
  await writeFile(output, inAscii(made[0].code));
}

/** V8 stores a text with a single two-byte letter as two bytes per letter, several times over while it starts. */
const inAscii = (code: string): string =>
  code.replace(/[\u0080-\uffff]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** The program of a decoding thread: one that loaded the whole file would hold 10 MB more. */
async function decoderText(): Promise<string> {
  const bundle = await rolldown({ ...OPTIONS, input: join(DECODE, 'worker.ts') });
  const { output } = await bundle.generate({ format: 'cjs', codeSplitting: false });
  await bundle.close();
  return inAscii(output[0].code);
}

const DECODE = join(import.meta.dirname, '../src/bundle/decode');
const OPTIONS: RolldownOptions = { platform: 'node', transform: { target: 'node24' } };
