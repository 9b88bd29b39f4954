/** The log: the only importer of pino. */

import { type Logger, pino } from 'pino';

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

/** One JSON line an entry on standard error, which the journal keeps. Secrets are redacted by name. */
export const createLog = (level: string): Log =>
  pino(
    { level, base: null, redact: ['password', 'passphrase', 'token', '*.password', '*.passphrase', '*.token'] },
    pino.destination({ dest: 2, sync: true }),
  );

export const silentLog: Log = pino({ enabled: false });
