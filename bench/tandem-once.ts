/**
 * Publishes as the released program does, in a process of its own and as one file: a bundle, a blocks file or a patch.
 * usage: tandem-once.js bundle IMAGE OUTPUT | blocks NEW.bundle OLD.bundle OUTPUT | patch NEW.bundle OLD.bundle OUTPUT ; prints what the signed metadata would say.
 */

import { isDecodeWorker } from '../src/bundle/decode-worker.ts';

if (!isDecodeWorker()) await import('./tandem-steps.ts');
