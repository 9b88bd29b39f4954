/** A command is data. `commands.ts` has the table of them. */

import type { Decoder } from '../bundle/decode/decoder.ts';
import { UpdateError } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import type { Files } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import type { Exec } from '../system/process/exec.ts';
import type { Random } from '../system/random.ts';
import type { Output } from './output.ts';

/** The outside world as a command sees it; assembled in `main.ts`. */
export type Context = Readonly<{
  out: Output;
  clock: Clock;
  random: Random;
  exec: Exec;
  files: Files;
  log: Log;
  /** One variable of the environment. */
  env(name: string): string | undefined;
  /** The working folder; throws if it no longer exists. */
  cwd(): string;
  /** Aborted by Ctrl-C and SIGTERM. */
  signal: AbortSignal;
  /** The version of this program. */
  version: string;
  /** The entry point of a decoding thread. */
  entry: Decoder;
  /** All commands. */
  commands(): Promise<readonly Command[]>;
}>;

export type ArgumentSpec = Readonly<{
  /** As shown in the help: `<file>`, `[version]`, `<file...>`. */
  name: string;
  summary: string;
}>;

export type OptionSpec = Readonly<{
  /** `--level <n>`, or `--force` for a switch. */
  flags: string;
  summary: string;
  default?: string;
  required?: boolean;
  /** May be given several times. */
  repeat?: boolean;
}>;

/** One command. `run` returns the exit status; undefined means 0. Every command also has `--json`. */
export type Command = Readonly<{
  name: string;
  summary: string;
  description?: string;
  examples: readonly string[];
  arguments?: readonly ArgumentSpec[];
  options?: readonly OptionSpec[];
  run(context: Context, input: Input): Promise<number | undefined>;
}>;

/** The command line. Option names are as written, without the leading dashes. */
export interface Input {
  /** The n-th argument. */
  argument(index: number): string;
  optional(index: number): string | undefined;
  rest(index: number): readonly string[];
  text(option: string): string | undefined;
  /** An option that is required or has a default. */
  given(option: string): string;
  list(option: string): readonly string[];
  flag(option: string): boolean;
  /** A whole number of at least `least`. */
  whole(option: string, least?: number): number | undefined;
}

/** Reads what commander parsed. */
export function inputOf(args: readonly unknown[], options: Readonly<Record<string, unknown>>): Input {
  const option = (name: string): unknown => options[camelCase(name)];
  const text = (name: string): string | undefined => asText(option(name));
  const optional = (index: number): string | undefined => asText(args[index]);
  return {
    optional,
    argument: (index) => optional(index) ?? missing(`argument ${index + 1}`),
    rest: (index) => asList(args[index]),
    text,
    given: (name) => text(name) ?? missing(`--${name}`),
    list: (name) => asList(option(name)),
    flag: (name) => option(name) === true,
    whole: (name, least = 0) => whole(name, text(name), least),
  };
}

function whole(name: string, value: string | undefined, least: number): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (/^\d+$/.test(value) && Number.isSafeInteger(number) && number >= least) return number;
  throw new UpdateError('usage', `--${name} must be a whole number of at least ${least}, not “${value}”.`);
}

function missing(what: string): never {
  throw new UpdateError('usage', `${what} is missing.`);
}

const asText = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

const asList = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];

const camelCase = (name: string): string => name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
