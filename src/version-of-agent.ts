/** The version of this program, as the package says. */

import about from '../package.json' with { type: 'json' };

export const AGENT_VERSION: string = about.version;
