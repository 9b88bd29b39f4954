/** A log entry as one line for people: the text first, then its fields. */

import { cleanLine } from '../clean-text.ts';

/** `journal`: with a priority prefix, which systemd strips; otherwise with the time and a word for the level. */
export type TextStyle = 'journal' | 'plain';

/** The line for an entry given as JSON. */
export function logText(json: string, style: TextStyle): string {
  // By position, because an entry may have fields with the same names.
  const [, level, time] = /^\{"level":(\d+),"time":(\d+)/.exec(json) ?? [];
  const { level: _, time: __, msg = '', ...fields } = JSON.parse(json) as Record<string, unknown>;
  const [priority, word] = PRIORITIES.find(([, , from]) => Number(level) >= from) ?? DEBUG;
  const front = style === 'journal' ? `<${priority}>` : `${new Date(Number(time ?? 0)).toISOString()} ${word} `;
  const named = Object.entries(fields).map(([name, value]) => `${cleanLine(name)}=${valueText(value)}`);
  return `${front}${[cleanLine(String(msg)), ...named].filter((part) => part !== '').join(' ')}\n`;
}

/** syslog's priorities, each with the lowest pino level it applies to. */
const DEBUG = [7, 'debug', 0] as const;
const PRIORITIES = [[2, 'fatal', 60], [3, 'error', 50], [4, 'warning', 40], [6, 'info', 30], DEBUG] as const;

function valueText(value: unknown): string {
  if (typeof value !== 'string') return quoted(isFailure(value) ? value.message : JSON.stringify(value));
  return quoted(value);
}

/** pino's form of a logged error: the stack is for readers of the JSON. */
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
