/** A health check of a system on trial. */

import type { Verdict } from '../../model.ts';

export interface Probe {
  readonly name: string;
  /** A failing wanted probe only warns; a required one condemns the release. */
  readonly required: boolean;
  run(signal: AbortSignal): Promise<Verdict>;
}
