/** Where one run of the benchmark begins, as the released program does: a decoding thread loads nothing else. */

import { isDecodeWorker } from '../src/bundle/decode-worker.ts';

if (!isDecodeWorker()) await import('./install-steps.ts');
