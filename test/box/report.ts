/** Why a scenario failed, on one screen: the step, the starts, the agent's state and its last lines, what the web was asked for. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cleanLine } from '../../src/clean-text.ts';
import type { Web } from '../vm/web.ts';
import type { Box } from './box.ts';

const LINES = 20;
const WIDTH = 160;

export async function report(box: Box, web: Web): Promise<string> {
  const state = await read(box.var('lib/tandem/state.json'));
  const log = (await read(join(box.work, 'agent.log'))).trim().split('\n').slice(-LINES);
  const console = (await read(join(box.work, 'console'))).trim().split('\n').slice(-5);
  const starts = box.boots.map(
    ({ version, slot, entry, end }) => `${version} in ${slot} by ${entry}: ${end ?? 'runs'}`,
  );
  const parts: [string, readonly string[]][] = [
    ['the step', [box.step]],
    ['starts', starts],
    ['state', [state]],
    ['what the web was asked for', web.requests.slice(-6)],
    ['console', console],
    ['the agent', log],
  ];
  return `${parts.map(([title, lines]) => `--- ${title}\n${lines.map(short).join('\n')}\n`).join('')}---\n`;
}

const read = (path: string): Promise<string> => readFile(path, 'utf8').catch((error: Error) => error.message);

const short = (line: string): string => cleanLine(line, 4 * WIDTH);
