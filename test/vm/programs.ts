/** Runs programs of this machine for the harness; what they say becomes part of the error when they fail. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const exec = promisify(execFile);

export const PROJECT = new URL('../../', import.meta.url).pathname;
const LIMIT = 64 * 1024 * 1024;

/** Standard output of a program that has to succeed. */
export async function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const options = { cwd: PROJECT, maxBuffer: LIMIT, env: { ...process.env, ...env } };
  const { stdout } = await exec(program, [...args], options).catch((error: Error & { stderr?: string }) => {
    throw new Error(`${program} ${args.join(' ')}: ${error.stderr || error.message}`);
  });
  return stdout.trim();
}

/** Tandem itself, as its publisher runs it. */
export const updatectl = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> =>
  run(process.execPath, [`${PROJECT}src/main.ts`, ...args], env);
