/** The log: the only importer of pino. Control sequences never pass through it. */

import { type Logger, type LoggerOptions, pino } from 'pino';
import { cleanLine } from '../clean-text.ts';
import { isJournal } from './journal-stream.ts';
import { logText } from './log-text.ts';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** Entries as lines for people, or as JSON documents. */
export const LOG_FORMATS = ['text', 'json'] as const;

/** One line per entry on standard error. Secrets are redacted by field name. */
export function createLog(level: string, format: (typeof LOG_FORMATS)[number]): Log {
  const errors = pino.destination({ dest: 2, sync: true });
  const style = isJournal(process.env['JOURNAL_STREAM']) ? 'journal' : 'plain';
  const write = (line: string): void => void errors.write(format === 'json' ? line : logText(line, style));
  return pino({ ...OPTIONS, level }, { write });
}

/** JSON lines, passed to `write`. */
export const logTo = (write: (line: string) => void): Log => pino({ ...OPTIONS, level: 'debug' }, { write });

export const silentLog: Log = pino({ enabled: false });

const OPTIONS: LoggerOptions = {
  base: null,
  redact: ['password', 'passphrase', 'token', '*.password', '*.passphrase', '*.token'],
  hooks: {
    logMethod(given, log) {
      log.apply(this, given.map(cleaned) as typeof given);
    },
  },
};

/** Text in an entry may come from anywhere: servers, programs, file names. */
function cleaned(value: unknown): unknown {
  if (typeof value === 'string') return cleanLine(value);
  if (Array.isArray(value)) return value.map(cleaned);
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [cleanLine(key), cleaned(field)]));
}
