/** Tokens for servers in tests. */

import { type Access, createAccess } from '../../src/server/access/access.ts';
import { type AccessRole, tokensJson } from '../../src/server/access/tokens.ts';
import type { Store } from '../../src/server/store/store.ts';

/** The digest of the token of a role. */
export type GivenTokens = Readonly<Partial<Record<AccessRole, string>>>;

/** The tokens, each named after its role, in `store`. Without one for machines, hosts need none. */
export async function accessWith(store: Store, given: GivenTokens, now = () => new Date()): Promise<Access> {
  const tokens = (Object.entries(given) as [AccessRole, string][]).map(([role, digest]) => ({
    name: role,
    role,
    digest,
    added: '2030-01-01T00:00:00.000Z',
  }));
  await store.update([{ kind: 'access', id: 'tokens' }], () => ({ write: [tokensJson(tokens)], result: undefined }));
  let made = 0;
  const secret = () => `made-${++made}`;
  return createAccess({ store, now, secret, ...(given.machine === undefined ? { machines: 'anybody' } : {}) });
}
