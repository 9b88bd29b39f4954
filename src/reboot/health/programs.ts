/** The probes that are programs: whatever an image or an operator puts into `health.d/required` and `health.d/wanted`. */

import { join } from 'node:path';
import type { Exec } from '../../system/exec.ts';
import type { Files } from '../../system/files.ts';
import { programsIn } from '../program-folders.ts';
import type { Probe, ProbeResult } from './probe.ts';

/** Where programs lie. */
export const HEALTH_DIRS = ['/usr/lib/tandem/health.d', '/etc/tandem/health.d'] as const;

/**
 * One probe for each executable, in the order of names. They run inside the agent's sandbox: without capabilities, and with nearly everything read-only, since a probe looks and changes nothing.
 */
export async function programProbes(
  options: Readonly<{ exec: Exec; files: Pick<Files, 'list'>; dirs: readonly string[]; timeoutMs: number }>,
): Promise<Probe[]> {
  const { files, dirs } = options;
  const of = (kind: string): Promise<string[]> =>
    programsIn(
      files,
      dirs.map((dir) => join(dir, kind)),
    );
  const [required, wanted] = [await of('required'), await of('wanted')];
  return [
    ...required.map((path) => programProbe(options, path, true)),
    ...wanted.map((path) => programProbe(options, path, false)),
  ];
}

const programProbe = (
  { exec, timeoutMs }: Readonly<{ exec: Exec; timeoutMs: number }>,
  path: string,
  required: boolean,
): Probe => ({
  name: path,
  required,
  run: async (signal): Promise<ProbeResult> => {
    const result = await exec(path, [], { signal, timeoutMs, isGroup: true });
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
