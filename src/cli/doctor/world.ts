/** What the checks of a host get to see. */

import type { Config } from '../../config/config.ts';
import { readHead, statOf } from '../../system/files.ts';
import { createHttp } from '../../system/http/http.ts';
import type { Context } from '../command.ts';
import type { Finding } from './finding.ts';
import type { Reading } from './reading.ts';

/** The ways to the outside that a context does not have. */
export type Doors = Readonly<{ readHead: Reading['readHead']; stat: typeof statOf; http: typeof createHttp }>;

export const REAL_DOORS: Doors = { readHead, stat: statOf, http: createHttp };

export type DoctorWorld = Context & Readonly<{ files: Reading }> & Pick<Doors, 'stat' | 'http'>;

/** One check of a host. `meaning` and `remedy` are printed in docs/doctor.md. */
export type DoctorCheck = Readonly<{
  name: string;
  meaning: string;
  remedy: string;
  run(world: DoctorWorld, config: Config): Promise<Finding>;
}>;
