#!/usr/bin/env node
/** updatectl: the command line, and the outside world that it passes to commands. The only importer of commander. */

import { Command as Commander, CommanderError, Option } from 'commander';
import { DECODER } from './bundle/decode/decoder.ts';
import { shownJson, shownText } from './clean-text.ts';
import { type Command, type Context, inputOf } from './cli/command.ts';
import { COMMANDS, type CommandEntry, GROUPS } from './cli/commands.ts';
import { createOutput } from './cli/output.ts';
import { asUpdateError, EXIT, UpdateError as Failure, type UpdateError } from './errors.ts';
import { realClock } from './system/clock.ts';
import { realFiles } from './system/files.ts';
import { isJournal } from './system/journal-stream.ts';
import { createLog, LOG_FORMATS, LOG_LEVELS } from './system/log.ts';
import { realExec } from './system/process/exec.ts';
import { cwd, endNow, endWithReader, env, onStop, standardStreams } from './system/process/process.ts';
import { realRandom } from './system/random.ts';
import { AGENT_VERSION } from './version-of-agent.ts';

/** Runs one command line; returns the exit status. */
export async function main(given: readonly string[]): Promise<number> {
  const argv = given[0] === 'help' ? [...given.slice(1), '--help'] : given;
  const asJson = argv.includes('--json');
  const debug = argv.includes('--debug') || env('TANDEM_DEBUG') === '1';
  let status: number = EXIT.ok;
  const program = buildProgram(async (command, input) => {
    status = (await command.run(contextOf(asJson, argv), input)) ?? EXIT.ok;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return status;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
    // The command line named a group or nothing, so commander printed its help.
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT.usage;
    return report(error instanceof CommanderError ? usage(error) : asUpdateError(error), asJson, debug);
  }
}

/** Commander prints help; `report` prints errors. */
const HELP_ONLY = {
  writeOut: standardStreams.out,
  writeErr: standardStreams.err,
  outputError: () => {},
};

type Run = (command: Command, input: ReturnType<typeof inputOf>) => Promise<void>;

function buildProgram(run: Run): Commander {
  const program = new Commander('updatectl')
    .description('Keeps this host up to date with two root partitions: one running and read-only, the other free.')
    .version(AGENT_VERSION, '-V, --version')
    // So that `bundle build --version 1.0` is not this program's own --version.
    .enablePositionalOptions()
    .option('--json', 'print one JSON document instead of text')
    .option('--debug', 'show the causes of a failure')
    .helpCommand(false)
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput(HELP_ONLY);
  for (const { name, summary, load } of COMMANDS) addCommand(program, name, summary, load, run);
  return program;
}

/** A command is only a name until it runs or shows its help; then its file is loaded. */
function addCommand(program: Commander, name: string, summary: string, load: CommandEntry['load'], run: Run): void {
  const words = name.split(' ');
  const parent = words.slice(0, -1).reduce(groupNamed, program);
  const stub = parent
    .command(words.at(-1) ?? name, '')
    .summary(summary)
    .description(summary);
  stub.allowUnknownOption().allowExcessArguments().helpOption(false).argument('[words...]');
  stub.action(async (given: readonly string[]) => {
    const command = await load();
    const real = specify(new Commander(`updatectl ${name}`), command);
    real.exitOverride().showSuggestionAfterError().configureOutput(HELP_ONLY);
    real.action((...all: unknown[]) => run(command, inputOf(all.slice(0, -2), real.opts())));
    await real.parseAsync([...given, ...stub.args.slice(given.length)], { from: 'user' });
  });
}

function groupNamed(parent: Commander, word: string): Commander {
  const known = parent.commands.find((one) => one.name() === word);
  return (
    known ??
    parent
      .command(word)
      .summary(GROUPS[word] ?? '')
      // The parent handles its own help, so there is no help option to inherit.
      .helpOption('-h, --help', 'display help for command')
      .allowUnknownOption(false)
      .allowExcessArguments(false)
      .helpCommand(false)
      .exitOverride()
  );
}

/** The options and arguments of a command, for commander. */
export function specify(to: Commander, command: Command): Commander {
  to.description(`${command.summary}\n${command.description ? `\n${command.description}` : ''}`.trim());
  for (const { name, summary } of command.arguments ?? []) to.argument(name, summary);
  for (const spec of command.options ?? []) to.addOption(optionOf(spec));
  to.option('--json', 'print one JSON document instead of text').option('--debug', 'show the causes of a failure');
  if (command.examples.length > 0)
    to.addHelpText('after', `\nExamples:\n${command.examples.map((one) => `  ${one}`).join('\n')}`);
  return to;
}

function optionOf(spec: NonNullable<Command['options']>[number]): Option {
  const option = new Option(spec.flags, spec.summary);
  if (spec.required) option.makeOptionMandatory();
  if (spec.repeat) option.default([], 'none').argParser((value: string, all: string[]) => [...all, value]);
  else if (spec.default !== undefined) option.default(spec.default);
  return option;
}

function contextOf(json: boolean, argv: readonly string[]): Context {
  return {
    out: createOutput(standardStreams, realClock, json, argv.includes('--watch')),
    clock: realClock,
    random: realRandom,
    exec: realExec,
    files: realFiles,
    log: createLog(chosen('TANDEM_LOG_LEVEL', LOG_LEVELS, 'info'), chosen('TANDEM_LOG_FORMAT', LOG_FORMATS, 'text')),
    env,
    cwd,
    signal: onStop(() => new Failure('interrupted')),
    version: AGENT_VERSION,
    entry: DECODER,
    commands: () => Promise.all(COMMANDS.map(({ load }) => load())),
  };
}

function chosen<T extends string>(name: string, words: readonly T[], usual: T): T {
  const word = env(name) ?? usual;
  const known = words.find((one) => one === word);
  if (known !== undefined) return known;
  throw new Failure('usage', `${name} must be ${words.join(' or ')}, not “${word}”.`);
}

function usage(error: CommanderError): UpdateError {
  return new Failure('usage', error.message.replace(/^error: /, '').replace(/\n/g, ' '));
}

/** Prints a code, one sentence and the next step; causes only with --debug. */
function report(error: UpdateError, asJson: boolean, debug: boolean): number {
  const { code, message, details } = error;
  const { exit, next } = error.entry;
  if (asJson) standardStreams.err(`${shownJson(JSON.stringify({ error: { code, message, next, details } }))}\n`);
  else standardStreams.err(inJournal(`updatectl: ${message}\n  ${next} [${code}]\n`));
  for (let cause: unknown = error; debug && cause instanceof Error; cause = cause.cause)
    standardStreams.err(`${shownText(cause.stack ?? cause.message)}\n`);
  return exit;
}

/** Marks the failure as an error if the output goes to the journal. */
const inJournal = (text: string): string => (isJournal(env('JOURNAL_STREAM')) ? text.replace(/^(?=.)/gm, '<3>') : text);

if (import.meta.main) {
  endWithReader();
  const status = await main(process.argv.slice(2));
  // A timer or connection left from before the failure must not keep the process alive: its service is restarted.
  if (status !== EXIT.ok) endNow(status);
}
