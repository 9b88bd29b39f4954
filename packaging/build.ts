/** Makes the release: the whole program in one file, dist/updatectl.js. */

import { bundleInto } from './single-file.ts';

await bundleInto('packaging/entry.ts', 'dist/updatectl.js');
