/** Signed in on the pages: the cookie holds the operator's token, so no replica keeps anything, and a new token ends every session. Pure. */

import { createHmac, timingSafeEqual } from 'node:crypto';

/** The token in the cookies of a request. */
export function tokenOf(cookies: string | undefined): string | undefined {
  const [, value] = /(?:^|;\s*)tandem=([A-Za-z0-9_-]{1,400})(?:;|$)/.exec(cookies ?? '') ?? [];
  return value === undefined ? undefined : Buffer.from(value, 'base64url').toString('latin1');
}

/** The cookie that keeps a token, out of reach of scripts and of other sites; without one, the cookie that ends it. */
export function cookieOf(token: string | undefined, isSecure: boolean): string {
  const value = Buffer.from(token ?? '', 'latin1').toString('base64url');
  const age = token === undefined ? 0 : WORKING_DAY;
  return `tandem=${value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${age}${isSecure ? '; Secure' : ''}`;
}

/** What a form of ours carries; another site cannot know it. */
export const formTokenOf = (token: string | undefined): string =>
  createHmac('sha256', token ?? '')
    .update('a form of the dashboard')
    .digest('base64url');

export function isOurForm(given: string, token: string | undefined): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(formTokenOf(token))];
  return one.length === other.length && timingSafeEqual(one, other);
}

/** Whether a browser sent it from a page of ours. Whoever is no browser says neither. */
export function isSameSite(headers: Readonly<Record<string, string | readonly string[] | undefined>>): boolean {
  const { origin, host } = headers;
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false;
  if (origin === undefined) return true;
  return URL.canParse(String(origin)) && new URL(String(origin)).host === host;
}

const WORKING_DAY = 12 * 3600;
