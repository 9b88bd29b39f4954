/** The dashboard's session cookie, and its form tokens. Pure. */

import { createHmac, timingSafeEqual } from 'node:crypto';
import { MOST_AGE_MS } from './sessions.ts';

/** The session key in a request's cookies. */
export const keyIn = (cookies: string | undefined): string | undefined =>
  /(?:^|;\s*)tandem=([A-Za-z0-9._-]{1,400})(?:;|$)/.exec(cookies ?? '')?.[1];

/**
 * A cookie with the key, out of reach of scripts and other sites; without a key, the cookie that clears it. It has no path, so that it
 * applies to the pages next to the one that sets it, under any path a proxy serves them at.
 */
export function cookieOf(key: string | undefined, isSecure: boolean): string {
  const age = key === undefined ? 0 : MOST_AGE_MS / 1000;
  return `tandem=${key ?? ''}; HttpOnly; SameSite=Strict; Max-Age=${age}${isSecure ? '; Secure' : ''}`;
}

/** The token in our own forms, which another site cannot know. */
export const formTokenOf = (key: string | undefined): string =>
  createHmac('sha256', key ?? '')
    .update('a form of the dashboard')
    .digest('base64url');

export function isOurForm(given: string, key: string | undefined): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(formTokenOf(key))];
  return one.length === other.length && timingSafeEqual(one, other);
}

/** Whether the request came from one of our own pages, as browsers report it. Other clients send neither header. */
export function isSameSite(headers: Readonly<Record<string, string | readonly string[] | undefined>>): boolean {
  const { origin, host } = headers;
  const site = headers['sec-fetch-site'];
  // Set by browsers only, never by pages; unlike Host, a proxy does not change it.
  if (site === 'same-origin') return true;
  if (site !== undefined && site !== 'none') return false;
  if (origin === undefined) return true;
  return URL.canParse(String(origin)) && new URL(String(origin)).host === host;
}
