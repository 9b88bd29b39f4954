/** An entry of the log as one line for people: the text first, its fields behind. */

import { cleanLine } from '../clean-text.ts';

/** `journal`: with a priority in front, which systemd takes off again; else with the time and a word for it. */
export type TextStyle = 'journal' | 'plain';

/** The line for an entry that is given as JSON. */
export function logText(json: string, style: TextStyle): string {
  // By their place, since an entry may have fields of the same names.
  const [, level, time] = /^\{"level":(\d+),"time":(\d+)/.exec(json) ?? [];
  const { level: _, time: __, msg = '', ...fields } = JSON.parse(json) as Record<string, unknown>;
  const [priority, word] = PRIORITIES.find(([, , from]) => Number(level) >= from) ?? DEBUG;
  const front = style === 'journal' ? `<${priority}>` : `${new Date(Number(time ?? 0)).toISOString()} ${word} `;
  const named = Object.entries(fields).map(([name, value]) => `${cleanLine(name)}=${valueText(value)}`);
  return `${front}${[cleanLine(String(msg)), ...named].filter((part) => part !== '').join(' ')}\n`;
}

/** The priorities of syslog, and the levels of pino from which they are right. */
const DEBUG = [7, 'debug', 0] as const;
const PRIORITIES = [[2, 'fatal', 60], [3, 'error', 50], [4, 'warning', 40], [6, 'info', 30], DEBUG] as const;

function valueText(value: unknown): string {
  if (typeof value !== 'string') return quoted(isFailure(value) ? value.message : JSON.stringify(value));
  return quoted(value);
}

/** What pino makes of an error that was logged as one: its stack is for those who read JSON. */
const isFailure = (value: unknown): value is Readonly<{ message: string }> =>
  typeof value === 'object' &&
  value !== null &&
  'stack' in value &&
  'message' in value &&
  typeof value.message === 'string';

function quoted(text: string): string {
  const line = cleanLine(text);
  return /^[^\s"=]+$/.test(line) ? line : JSON.stringify(line);
}
