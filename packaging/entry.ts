/** Where the released file begins: a decoding thread must not load the rest of the program, which costs it memory. */

import { isDecodeWorker } from '../src/bundle/decode-worker.ts';

if (!isDecodeWorker()) await import('../src/main.ts');
