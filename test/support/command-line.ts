/** Runs a command as `updatectl` would, inside the test: many times faster than a process for each. */

import { Command as Commander } from 'commander';
import { DECODER } from '../../src/bundle/decode/decoder.ts';
import { type Command, type Context, inputOf } from '../../src/cli/command.ts';
import { createOutput } from '../../src/cli/output.ts';
import { asUpdateError } from '../../src/errors.ts';
import { specify } from '../../src/main.ts';
import { realClock } from '../../src/system/clock.ts';
import { realFiles } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { realExec } from '../../src/system/process/exec.ts';
import { realRandom } from '../../src/system/random.ts';

/** Runs `command` in `cwd`; returns its standard output, tells warnings, throws its UpdateError. */
export async function runCommand(
  command: Command,
  cwd: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  warned: (text: string) => void = () => {},
): Promise<string> {
  const written: string[] = [];
  const streams = { out: (text: string) => void written.push(text), err: warned, isTerminal: false, width: () => 80 };
  const context: Context = {
    out: createOutput(streams, realClock, args.includes('--json')),
    clock: realClock,
    random: realRandom,
    exec: (program, given, options) => realExec(program, given, { cwd, ...options }),
    files: realFiles,
    log: silentLog,
    env: (name) => env[name],
    cwd: () => cwd,
    signal: new AbortController().signal,
    version: '0.1.0',
    entry: DECODER,
    commands: async () => [],
  };
  const parser = specify(new Commander(), command).exitOverride();
  parser.action(async (...all: unknown[]) => {
    await command.run(context, inputOf(all.slice(0, -2), parser.opts()));
  });
  await parser.parseAsync([...args], { from: 'user' });
  return written.join('');
}

/** The code with which a command fails; "none" when it does not. */
export const refusalOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'none',
    (error: unknown) => asUpdateError(error).code,
  );
