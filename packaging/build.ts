/** Makes the release: the whole program in one file, dist/updatectl.js. */

import { rolldown } from 'rolldown';

const bundle = await rolldown({
  input: 'src/main.ts',
  platform: 'node',
  // Packages that are not ES modules ask for Node's own modules when they run.
  transform: { target: 'node24' },
});
await bundle.write({
  file: 'dist/updatectl.js',
  format: 'esm',
  codeSplitting: false,
  banner:
    'import { createRequire as createRequireOfRelease } from "node:module"; const require = createRequireOfRelease(import.meta.url);',
});
await bundle.close();
