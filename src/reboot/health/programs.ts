/** Health programs: the probes that an image or an operator puts into `health.d/required` and `health.d/wanted`. */

import { join } from 'node:path';
import type { Verdict } from '../../model.ts';
import type { Files } from '../../system/files.ts';
import type { Exec } from '../../system/process/exec.ts';
import { type ProgramFile, type ProgramLook, programsIn } from '../program-folders.ts';
import type { Probe } from './probe.ts';

/** The default directories. */
export const HEALTH_DIRS = ['/usr/lib/tandem/health.d', '/etc/tandem/health.d'] as const;

/**
 * One probe per program, in name order. Probes run in the agent's sandbox, without capabilities and mostly read-only, since they only
 * observe. A program that cannot run has failed.
 */
export async function programProbes(
  options: Readonly<{ exec: Exec; files: Pick<Files, 'list'>; dirs: readonly string[]; timeoutMs: number }>,
): Promise<Probe[]> {
  const { required, wanted } = await healthPrograms(options.files, options.dirs);
  return [
    ...required.map((program) => programProbe(options, program, true)),
    ...wanted.map((program) => programProbe(options, program, false)),
  ];
}

/** The programs in both folders. */
export async function healthPrograms(
  files: Pick<Files, 'list'>,
  dirs: readonly string[],
  look?: ProgramLook,
): Promise<Readonly<Record<'required' | 'wanted', readonly ProgramFile[]>>> {
  const of = (kind: string): Promise<readonly ProgramFile[]> =>
    programsIn(
      files,
      dirs.map((dir) => join(dir, kind)),
      look,
    );
  return { required: await of('required'), wanted: await of('wanted') };
}

const programProbe = (
  { exec, timeoutMs }: Readonly<{ exec: Exec; timeoutMs: number }>,
  { path, fault }: ProgramFile,
  required: boolean,
): Probe => ({
  name: path,
  required,
  run: async (signal): Promise<Verdict> => {
    if (fault !== undefined) return { ok: false, reason: fault };
    const result = await exec(path, [], { signal, timeoutMs, isGroup: true });
    if (result.exitCode === 0 && !result.timedOut) return { ok: true };
    const why = result.timedOut
      ? `still running after ${Math.round(timeoutMs / 1000)} s`
      : `ended with status ${result.exitCode}`;
    const output = lastWords(`${result.stdout}\n${result.stderr}`);
    return { ok: false, reason: output === '' ? why : `${why}: ${output}` };
  },
});

const LAST_WORDS = 1024;

const lastWords = (output: string): string => output.trim().slice(-LAST_WORDS).trim();
