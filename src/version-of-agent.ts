/** The version of this program, from package.json. */

import about from '../package.json' with { type: 'json' };

export const AGENT_VERSION: string = about.version;
