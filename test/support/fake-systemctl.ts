/** A fake systemctl at the front of PATH, and an Exec that finds it. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Exec, realExec } from '../../src/system/process/exec.ts';

const BIN = join(import.meta.dirname, '..', 'bin');

export type FakeSystemctl = AsyncDisposable &
  Readonly<{
    env: Readonly<Record<string, string>>;
    exec: Exec;
    answer(verb: string, answer: Readonly<{ out?: string; err?: string; status?: number }>): Promise<void>;
    /** The command lines so far. */
    calls(): Promise<string[]>;
  }>;

export async function fakeSystemctl(): Promise<FakeSystemctl> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-systemctl-'));
  const env = { FAKE_SYSTEMCTL: dir, PATH: `${BIN}:${process.env['PATH']}` };
  return {
    env,
    exec: (program, args, options) => realExec(program, args, { ...options, env: { ...options?.env, ...env } }),
    answer: async (verb, { out, err, status }) => {
      await writeFile(join(dir, `${verb}.out`), out ?? '');
      await writeFile(join(dir, `${verb}.err`), err ?? '');
      await writeFile(join(dir, `${verb}.status`), String(status ?? 0));
    },
    calls: async () => (await readFile(join(dir, 'calls'), 'utf8').catch(() => '')).split('\n').filter(Boolean),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true }),
  };
}
