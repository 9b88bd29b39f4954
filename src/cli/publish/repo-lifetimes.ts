/** The expiry of a repository's roles, as a table and as warnings. */

import type { RoleLife } from '../../verify/publish/check.ts';
import { LIFETIME_DAYS } from '../../verify/publish/signing-time.ts';
import type { Context } from '../command.ts';

/** A table of the roles. */
export const lifetimeRows = (roles: readonly RoleLife[]): string[][] => [
  ['role', 'version', 'expires', 'days left'],
  ...roles.map(({ role, version, expires, daysLeft }) => [
    role,
    String(version),
    expires.toISOString().slice(0, 10),
    String(daysLeft),
  ]),
];

/** Warns of every role with less than a sixth of its usual lifetime left. */
export function warnOfExpiry(context: Context, roles: readonly RoleLife[]): void {
  for (const { role, daysLeft } of roles)
    if (daysLeft < LIFETIME_DAYS[role] / 6)
      context.out.warn(
        `${role} expires in ${daysLeft} days: sign it again with \`updatectl repo refresh ${hint(role)}\`.`,
      );
}

const hint = (role: string): string => (role === 'timestamp' || role === 'snapshot' ? '' : `--role ${role} `).trim();
