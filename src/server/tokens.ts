/** Who may ask what: a token for hosts, another for operators. Only digests are kept and compared. */

import { createHash, timingSafeEqual } from 'node:crypto';

export type Role = 'machine' | 'operator';

/** SHA-256 of each role's token in hex; a role without one is open to everybody. */
export type TokenDigests = Readonly<Partial<Record<Role, string>>>;

/** Whether the Authorization header of a request is good for a role; an operator may do what a machine may. */
export function mayAct(digests: TokenDigests, role: Role, authorization: string | undefined): boolean {
  if (digests[role] === undefined) return true;
  const given = Buffer.from(digestOf(tokenIn(authorization)), 'hex');
  const wanted = role === 'machine' ? [digests.machine, digests.operator] : [digests.operator];
  return wanted.some((digest) => digest !== undefined && timingSafeEqual(given, Buffer.from(digest, 'hex')));
}

/** Or the password of whatever user: who can only be given an address, like Zincati, has both in it. */
function tokenIn(authorization = ''): string {
  const [, bearer] = /^Bearer ([\x21-\x7e]{1,256})$/.exec(authorization) ?? [];
  const [, basic = ''] = /^Basic ([A-Za-z0-9+/]{1,512}={0,2})$/.exec(authorization) ?? [];
  const [, password = ''] = /^[^:]*:([\x21-\x7e]{1,256})$/.exec(Buffer.from(basic, 'base64').toString('latin1')) ?? [];
  return bearer ?? password;
}

export const digestOf = (token: string): string => createHash('sha256').update(token).digest('hex');
