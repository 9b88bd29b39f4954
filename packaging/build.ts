/** Makes everything of a release that is generated, in dist/: the program in one file, its completions, the manual page and the licences. */

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { notices, OWN_LICENCE } from './licences.ts';
import { bundleInto } from './single-file.ts';

const PROJECT = join(import.meta.dirname, '..');
const DIST = join(PROJECT, 'dist');
const SHELLS = ['bash', 'zsh', 'fish'] as const;

const write = (name: string, text: string | Uint8Array): void => writeFileSync(join(DIST, name), text);

/** With the system's gzip, whose output does not depend on the processor, as that of Node.js does. */
const compressed = (input: Uint8Array): Uint8Array => execFileSync('gzip', ['-9nc'], { input });
const file = (path: string): Uint8Array => readFileSync(join(PROJECT, path));

// The program names its sources in comments, as seen from here.
process.chdir(PROJECT);
await bundleInto('src/main.ts', 'dist/updatectl.js');
for (const shell of SHELLS)
  write(`completion.${shell}`, execFileSync(process.execPath, [join(DIST, 'updatectl.js'), 'completion', shell]));
write('updatectl.8.gz', compressed(file('docs/updatectl.8')));
write('changelog.gz', compressed(file('CHANGELOG.md')));
write('notices.gz', compressed(Buffer.from(notices(PROJECT))));
write('copyright', OWN_LICENCE);
