/** Why a scenario failed, on one screen: the step, the starts, the agent's state and its last lines, what the web was asked for. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cleanLine } from '../../src/clean-text.ts';
import type { Web } from '../vm/web.ts';
import type { Box } from './box.ts';

/** How many lines of what: in the record, and on the screen. */
const RECORD = { starts: 15, web: 30, console: 20, agent: 60 } as const;
const SCREEN = { starts: 7, web: 4, console: 3, agent: 12 } as const;
const WIDTH = 160;

class Explained extends Error {}

/** The failure with what one wants to read first. More goes to the record. */
export async function explain(failure: unknown, box: Box, web: Web): Promise<Error> {
  if (failure instanceof Explained) return failure;
  process.stderr.write(await report(box, web, RECORD));
  const message = failure instanceof Error ? failure.message : String(failure);
  return new Explained(`${message}\n${await report(box, web, SCREEN)}`, { cause: failure });
}

async function report(box: Box, web: Web, lines: Readonly<Record<keyof typeof SCREEN, number>>): Promise<string> {
  const state = await read(box.var('lib/tandem/state.json'));
  const log = (await read(join(box.work, 'agent.log'))).trim().split('\n').slice(-lines.agent);
  const console = (await read(join(box.work, 'console'))).trim().split('\n').slice(-lines.console);
  const starts = box.boots.map(
    ({ version, slot, entry, end }) => `${version} in ${slot} by ${entry}: ${end ?? 'runs'}`,
  );
  const parts: [string, readonly string[]][] = [
    ['the step', [box.step]],
    ['starts', starts.slice(-lines.starts)],
    ['state', [state]],
    ['what the web was asked for', web.requests.slice(-lines.web)],
    ['console', console],
    ['the agent', log],
  ];
  return `${parts.map(([title, lines]) => `--- ${title}\n${lines.map(short).join('\n')}\n`).join('')}---\n`;
}

const read = (path: string): Promise<string> => readFile(path, 'utf8').catch((error: Error) => error.message);

const short = (line: string): string => cleanLine(line, 4 * WIDTH);
