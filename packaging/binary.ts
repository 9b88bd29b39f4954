/** The whole program with its runtime in one executable: `node packaging/binary.ts [ARCH]...` makes dist/updatectl-linux-ARCH. */

import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Architecture, architectureNamed, runtimeFor } from './runtime.ts';

const PROJECT = join(import.meta.dirname, '..');
const DIST = join(PROJECT, 'dist');

/** By this machine's Node.js, which has to be of the version of the other: both are those of package-lock.json. */
function makeBinary(architecture: Architecture): string {
  mkdirSync(DIST, { recursive: true });
  const work = mkdtempSync(join(DIST, '.binary-'));
  const output = join(DIST, `updatectl-linux-${architecture}`);
  try {
    // Relative, because the path of the program becomes part of the executable. Compiled code is left out: only the same processor could use it.
    const settings = {
      main: 'dist/updatectl.js',
      mainFormat: 'module',
      executable: join(runtimeFor(architecture), 'node'),
      output: join(work, 'updatectl'),
      disableExperimentalSEAWarning: true,
      useCodeCache: false,
    };
    writeFileSync(join(work, 'settings.json'), JSON.stringify(settings));
    execFileSync(process.execPath, ['--build-sea', join(work, 'settings.json')], { cwd: PROJECT, stdio: 'pipe' });
    chmodSync(join(work, 'updatectl'), 0o755);
    renameSync(join(work, 'updatectl'), output);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return output;
}

const names = process.argv.slice(2);
try {
  for (const name of names.length > 0 ? names : ['x64', 'arm64']) console.log(makeBinary(architectureNamed(name)));
} catch (error) {
  console.error(`binary: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
