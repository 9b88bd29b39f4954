/** A question put to a system on trial. */

import type { Verdict } from '../../model.ts';

export interface Probe {
  readonly name: string;
  /** A wanted probe only warns; a required one condemns. */
  readonly required: boolean;
  run(signal: AbortSignal): Promise<Verdict>;
}
