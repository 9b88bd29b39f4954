/** Maps connection failures to error codes. */

import { UpdateError } from '../../errors.ts';
import { utcText } from '../../utc.ts';

/** The meaning of `error` for the file `name`; messages never contain credentials. */
export function connectionFailure(error: unknown, name: string, now: Date): UpdateError {
  if (error instanceof UpdateError) return error;
  const code = codeOf(error);
  const why = `${name}: ${messageOf(error)}`;
  if (UNREACHABLE.has(code)) return new UpdateError('server-unreachable', why);
  if (code === 'ETIMEDOUT') return new UpdateError('server-timeout', why);
  if (OWN_TLS.test(code))
    return new UpdateError(
      'tls-invalid',
      `${name}: what this side shows of itself cannot be used (${messageOf(error)}).`,
    );
  if (TLS.test(code)) return new UpdateError('tls-untrusted', `${why} (the local clock shows ${utcText(now)})`);
  if (/\b407\b/.test(messageOf(error)) && PROXY.test(code)) return new UpdateError('proxy-auth', why);
  if (PROXY.test(code)) return new UpdateError('server-unreachable', why);
  if (LOST.has(code)) return new UpdateError('connection-lost', why);
  return new UpdateError('server-protocol', why);
}

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'EACCES',
]);

const LOST = new Set(['ECONNRESET', 'EPIPE', 'ERR_HTTP_CONTENT_LENGTH_MISMATCH', 'ERR_STREAM_PREMATURE_CLOSE']);

const TLS = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ERR_SSL|ERR_TLS|EPROTO|CRL/;

/** Errors of OpenSSL itself while reading certificates and keys, before anything was sent. */
const OWN_TLS = /^ERR_OSSL_/;

const PROXY = /PROXY/;

/** The innermost code, because got wraps the connection's error. */
function codeOf(error: unknown): string {
  const inner = error instanceof Error && error.cause !== undefined ? codeOf(error.cause) : '';
  if (inner !== '') return inner;
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error))
    .replace(/[a-z]+:\/\/\S+/gi, '(address)')
    .replace(ADVICE, '')
    .slice(0, 300);

/** Node.js's advice for manual starts, such as "; if the root CA …, try running Node.js with …". */
const ADVICE = /[;,.]? *(if|try)\b[^;.]*\bNode\.js\b.*$/i;
