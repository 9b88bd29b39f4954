/**
 * Applies one tier once and tells its figures as JSON: a process of its own, as one file like the released program.
 * usage: delta-once.js PLAN.json   (see `Plan` in delta-steps.ts; devices need root)
 */

import { isDecodeWorker } from '../src/bundle/decode-worker.ts';

if (!isDecodeWorker()) await import('./delta-steps.ts');
