/** `updatectl completion`: a shell script, generated from the table of commands. */

import { UpdateError } from '../errors.ts';
import { suggestion } from '../nearest-word.ts';
import type { Command } from './command.ts';

export const completion: Command = {
  name: 'completion',
  summary: 'print a completion script for bash, zsh or fish',
  examples: [
    'updatectl completion bash >/usr/share/bash-completion/completions/updatectl',
    'updatectl completion zsh >/usr/share/zsh/vendor-completions/_updatectl',
    'updatectl completion fish >/usr/share/fish/vendor_completions.d/updatectl.fish',
  ],
  arguments: [{ name: '<shell>', summary: 'bash, zsh or fish' }],
  run: async ({ out, commands }, input) => {
    const shell = input.argument(0);
    const make = Object.hasOwn(SHELLS, shell) ? SHELLS[shell as keyof typeof SHELLS] : undefined;
    if (!make)
      throw new UpdateError('usage', `There is no completion for “${shell}”.${suggestion(shell, Object.keys(SHELLS))}`);
    const script = make(placesOf(await commands()));
    out.document({ schema: 1, shell, script });
    out.line(script.trimEnd());
    return undefined;
  },
};

/** The words that may follow these. */
type Place = Readonly<{
  after: string;
  isCommand: boolean;
  words: readonly Readonly<{ word: string; says: string }>[];
}>;

const SHELLS = { bash, zsh, fish } as const;

const COMMON = [
  { word: '--json', says: 'print one JSON document instead of text' },
  { word: '--help', says: 'show how to use this command' },
] as const;

/** The top, each group, each command. */
function placesOf(commands: readonly Command[]): readonly Place[] {
  const groups = [...new Set(['', ...commands.flatMap(({ name }) => (name.includes(' ') ? [firstWord(name)] : []))])];
  return [
    ...groups.map((after) => ({ after, isCommand: false, words: wordsAfter(after, commands) })),
    ...commands.map(({ name, options = [] }) => ({
      after: name,
      isCommand: true,
      words: [...options.map(({ flags, summary }) => ({ word: longFlag(flags), says: summary })), ...COMMON],
    })),
  ];
}

function wordsAfter(group: string, commands: readonly Command[]): Place['words'] {
  const inside = commands.filter(({ name }) => group === '' || name.startsWith(`${group} `));
  const words = inside.map(({ name, summary }) => {
    const rest = group === '' ? name : name.slice(group.length + 1);
    return { word: firstWord(rest), says: rest.includes(' ') ? `${firstWord(rest)} …` : summary };
  });
  return [...new Map(words.map((one) => [one.word, one])).values()];
}

const firstWord = (text: string): string => text.split(' ')[0] ?? text;

const longFlag = (flags: string): string => /--[a-z][a-z-]*/.exec(flags)?.[0] ?? flags;

function bash(places: readonly Place[]): string {
  const cases = places.map(({ after, isCommand, words }) => {
    const pattern = isCommand ? `${quoted(after)}|${quoted(`${after} `)}*` : quoted(after);
    return `    ${pattern}) words=${quoted(words.map(({ word }) => word).join(' '))} ;;`;
  });
  return `# bash completion for updatectl
_updatectl() {
  local given='' word words=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == -* ]] || given+="\${given:+ }$word"
  done
  case $given in
${cases.join('\n')}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _updatectl updatectl
`;
}

function zsh(places: readonly Place[]): string {
  const cases = places.map(({ after, isCommand, words }) => {
    const pattern = isCommand ? `${quoted(after)}|${quoted(`${after} `)}*` : quoted(after);
    const found = words.map(({ word, says }) => quoted(`${word}:${says.replace(/:/g, '\\:')}`)).join(' ');
    return `    ${pattern}) found=(${found}) ;;`;
  });
  return `#compdef updatectl
_updatectl() {
  local given='' word
  local -a found
  for word in \${words[2,CURRENT-1]}; do
    [[ $word == -* ]] || given+="\${given:+ }$word"
  done
  case $given in
${cases.join('\n')}
  esac
  _describe updatectl found || _files
}
_updatectl "$@"
`;
}

function fish(places: readonly Place[]): string {
  const lines = places.flatMap(({ after, isCommand, words }) =>
    words.map(({ word, says }) => {
      const when = quoted(`__updatectl_after ${isCommand ? 'within' : 'exactly'} "${after}"`);
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-f -a ${word}`;
      return `complete -c updatectl -n ${when} ${what} -d ${quoted(says)}`;
    }),
  );
  return `# fish completion for updatectl
function __updatectl_after
  set -l given (commandline -opc | tail -n +2 | string match -v -- '-*' | string join ' ')
  test "$given" = "$argv[2]"; and return
  test $argv[1] = within; and string match -q -- "$argv[2] *" "$given"
end
${lines.join('\n')}
`;
}

const quoted = (text: string): string => `'${text.replace(/'/g, `'\\''`)}'`;
