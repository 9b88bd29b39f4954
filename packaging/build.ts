/** Makes the release: the whole program in one file, dist/updatectl.js. */

import { bundleInto } from './single-file.ts';

await bundleInto('src/main.ts', 'dist/updatectl.js');
