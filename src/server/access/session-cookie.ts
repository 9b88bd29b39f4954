/** The cookie of who is signed in on the pages, and the forms that belong to it. Pure. */

import { createHmac, timingSafeEqual } from 'node:crypto';
import { MOST_AGE_MS } from './sessions.ts';

/** The key of the session in the cookies of a request. */
export const keyIn = (cookies: string | undefined): string | undefined =>
  /(?:^|;\s*)tandem=([A-Za-z0-9._-]{1,400})(?:;|$)/.exec(cookies ?? '')?.[1];

/**
 * The cookie that keeps a key, out of reach of scripts and of other sites; without one, the cookie that ends it. It names no path, so that it holds
 * for the pages beside the one that sets it, below whatever path a proxy serves them.
 */
export function cookieOf(key: string | undefined, isSecure: boolean): string {
  const age = key === undefined ? 0 : MOST_AGE_MS / 1000;
  return `tandem=${key ?? ''}; HttpOnly; SameSite=Strict; Max-Age=${age}${isSecure ? '; Secure' : ''}`;
}

/** What a form of ours carries; another site cannot know it. */
export const formTokenOf = (key: string | undefined): string =>
  createHmac('sha256', key ?? '')
    .update('a form of the dashboard')
    .digest('base64url');

export function isOurForm(given: string, key: string | undefined): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(formTokenOf(key))];
  return one.length === other.length && timingSafeEqual(one, other);
}

/** Whether a browser sent it from a page of ours. Whoever is no browser says neither. */
export function isSameSite(headers: Readonly<Record<string, string | readonly string[] | undefined>>): boolean {
  const { origin, host } = headers;
  const site = headers['sec-fetch-site'];
  // A page cannot say this, only a browser; and a proxy may have changed the name of the host.
  if (site === 'same-origin') return true;
  if (site !== undefined && site !== 'none') return false;
  if (origin === undefined) return true;
  return URL.canParse(String(origin)) && new URL(String(origin)).host === host;
}
