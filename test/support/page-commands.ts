/** The commands that README and docs show: blocks without a language, or of `sh`, and what stands between backquotes. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const TOP = join(import.meta.dirname, '..', '..');

export type PageBlock = Readonly<{ page: string; line: number; commands: readonly string[]; text: string }>;

export const PAGES: readonly string[] = [
  ...['README.md', 'SECURITY.md', 'CONTRIBUTING.md'],
  ...readdirSync(join(TOP, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

export const textOf = (page: string): string => readFileSync(join(TOP, page), 'utf8');

/** The blocks of a page that are for a shell. */
export function blocksOf(page: string, text = textOf(page)): readonly PageBlock[] {
  return [...text.matchAll(/^( *)```(.*)\n([\s\S]*?)^ *```$/gm)]
    .filter(([, , language]) => language === '' || language === 'sh')
    .map(({ 1: indent = '', 3: content = '', index }) => {
      const plain = content.replace(new RegExp(`^${indent}`, 'gm'), '');
      const line = text.slice(0, index).split('\n').length;
      return { page, line, text: plain, commands: commandsIn(plain) };
    });
}

/** Lines that end in a backslash go on in the next; where some begin with a prompt, the others are output. A description stands two spaces behind. */
function commandsIn(text: string): readonly string[] {
  const lines = text.replace(/\\\n\s*/g, '').split('\n');
  const isPrompted = lines.some((line) => line.startsWith('$ '));
  return lines
    .filter((line) => (isPrompted ? line.startsWith('$ ') : line.trim() !== ''))
    .map((line) => (isPrompted ? line.slice(2) : line.replace(/^(updatectl \S+(?: \S+)*?) {2,}.*$/, '$1')));
}

/** What a page calls a command of ours between two backquotes. */
export const mentionsIn = (text: string): readonly string[] =>
  [...text.replace(/^ *```[\s\S]*?^ *```$/gm, '').matchAll(/(?<!`)`(updatectl\s[^`]+)`(?!`)/g)].map(([, one = '']) =>
    one.replace(/\s+/g, ' '),
  );

/** The words of a line, without the quotes around them. */
export const wordsOf = (line: string): readonly string[] =>
  [...line.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map(([word]) => word.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'));
