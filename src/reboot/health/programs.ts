/** The probes that are programs: whatever an image or an operator puts into `health.d/required` and `health.d/wanted`. */

import { join } from 'node:path';
import type { Exec } from '../../system/exec.ts';
import { type Files, statOf } from '../../system/files.ts';
import type { Probe, ProbeResult } from './probe.ts';

/** Where programs lie; a name in a later folder takes the place of the same name in an earlier one. */
export const HEALTH_DIRS = ['/usr/lib/tandem/health.d', '/etc/tandem/health.d'] as const;

/**
 * One probe for each executable, in the order of names. A link to /dev/null switches a program off, as it does a unit. They
 * run inside the agent's sandbox: without capabilities, and with nearly everything read-only, since a probe looks and changes nothing.
 */
export async function programProbes(
  options: Readonly<{ exec: Exec; files: Pick<Files, 'list'>; dirs: readonly string[]; timeoutMs: number }>,
): Promise<Probe[]> {
  const required = await programs(options, 'required');
  const wanted = await programs(options, 'wanted');
  return [
    ...required.map((path) => programProbe(options, path, true)),
    ...wanted.map((path) => programProbe(options, path, false)),
  ];
}

async function programs(
  { files, dirs }: Readonly<{ files: Pick<Files, 'list'>; dirs: readonly string[] }>,
  kind: 'required' | 'wanted',
): Promise<string[]> {
  const byName = new Map<string, string>();
  for (const dir of dirs)
    for (const name of await files.list(join(dir, kind)))
      if (!name.startsWith('.')) byName.set(name, join(dir, kind, name));
  const found: string[] = [];
  for (const [, path] of [...byName].sort(([a], [b]) => (a < b ? -1 : 1))) if (await isProgram(path)) found.push(path);
  return found;
}

async function isProgram(path: string): Promise<boolean> {
  const found = await statOf(path);
  return found?.isFile() === true && (found.mode & 0o111) !== 0;
}

const programProbe = (
  { exec, timeoutMs }: Readonly<{ exec: Exec; timeoutMs: number }>,
  path: string,
  required: boolean,
): Probe => ({
  name: path,
  required,
  run: async (signal): Promise<ProbeResult> => {
    const result = await exec(path, [], { signal, timeoutMs });
    if (result.exitCode === 0 && !result.timedOut) return { ok: true };
    const why = result.timedOut
      ? `still running after ${Math.round(timeoutMs / 1000)} s`
      : `ended with status ${result.exitCode}`;
    const said = lastWords(`${result.stdout}\n${result.stderr}`);
    return { ok: false, reason: said === '' ? why : `${why}: ${said}` };
  },
});

const LAST_WORDS = 1024;

const lastWords = (output: string): string => output.trim().slice(-LAST_WORDS).trim();
