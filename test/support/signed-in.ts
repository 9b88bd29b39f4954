/** Who is signed in on the pages of a server in a test, with a key that tests know beforehand. */

import { cookieOf, formTokenOf } from '../../src/server/access/session-cookie.ts';
import { createSessions, type Sessions, type SessionsWorld } from '../../src/server/access/sessions.ts';
import type { AccessRole } from '../../src/server/access/tokens.ts';

const SECRET = 'known-beforehand';

/** What a browser sends that is signed in with the token of this name, and what its forms carry. */
export function signedInAs(name: string): Readonly<{ cookie: string; form: string }> {
  const key = `${name}.${SECRET}`;
  return { cookie: cookieOf(key, false).split(';')[0] ?? '', form: formTokenOf(key) };
}

/** Sessions of a server; whoever has one of `tokens`, which are named after their roles, is signed in. */
export async function sessionsWith(
  world: Omit<SessionsWorld, 'secret'>,
  tokens: Readonly<Partial<Record<AccessRole, string>>>,
): Promise<Sessions> {
  const known = createSessions({ ...world, secret: () => SECRET });
  for (const [role, token] of Object.entries(tokens) as [AccessRole, string][])
    await known.begin({ name: role, role }, token);
  let made = 0;
  return createSessions({ ...world, secret: () => `made-${++made}` });
}
