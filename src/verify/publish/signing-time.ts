/** A role's signing time and expiry: neither goes back, whatever the publisher's clock shows. Pure. */

import { UpdateError } from '../../errors.ts';
import { utcText } from '../../utc.ts';
import type { RoleName } from '../names.ts';
import { type Insisting, refuse } from './insist.ts';

/** The default lifetime of each role; longer ones need an override. */
export const LIFETIME_DAYS: Readonly<Record<RoleName, number>> = {
  root: 365,
  targets: 180,
  releases: 180,
  channels: 90,
  snapshot: 14,
  timestamp: 2,
};

/** The publisher's clock and lifetimes. */
export type Signing = Insisting & Readonly<{ now: Date; lifetimeDays?: Partial<Record<RoleName, number>> }>;

/** Publishers from before `issued` do not state the signing time. */
export type Times = Readonly<{ expires: string; issued?: string }>;

/** The times of a role's next document; `replaced` is the current one. */
export function timesOf(signing: Signing, role: RoleName, replaced: Times | undefined): Required<Times> {
  const at = signingTime(signing, role, replaced?.issued);
  const expires = utcText(new Date(at.getTime() + lifetimeOf(signing, role) * DAY));
  const isBehind = replaced?.issued !== undefined && utcText(at) < replaced.issued;
  // An earlier clock leads to an earlier expiry, and has already been overridden.
  if (!isBehind && replaced && expires < replaced.expires)
    refuse(
      signing,
      'expiry-earlier',
      `${role}.json would expire on ${expires}, and the one in use is good until ${replaced.expires}.`,
    );
  return { issued: utcText(at), expires };
}

/** Once a role has expired, hosts refuse everything: publishing is in vain, or the clock is ahead and would issue signatures valid for years. */
export function refuseExpired(signing: Signing, roles: readonly (readonly [RoleName, Times])[]): void {
  const now = utcText(signing.now);
  const expired = roles.filter(([, { expires }]) => expires <= now);
  if (expired.length === 0) return;
  const which = expired.map(([role, { expires }]) => `${role}.json on ${expires}`).join(' and ');
  refuse(
    signing,
    'role-expired',
    `This clock shows ${now}, and ${which} has expired, so hosts would refuse everything.`,
  );
}

/** Publishers whose clocks differ slightly continue from each other's time. */
function signingTime(signing: Signing, role: RoleName, last: string | undefined): Date {
  const late = last === undefined ? 0 : Date.parse(last) - signing.now.getTime();
  if (late <= 0) return signing.now;
  if (late <= SLACK_MS) return new Date(last ?? 0);
  refuse(signing, 'clock-behind', `This clock shows ${utcText(signing.now)}, and ${role}.json was signed at ${last}.`);
  return signing.now;
}

function lifetimeOf(signing: Signing, role: RoleName): number {
  const days = signing.lifetimeDays?.[role] ?? LIFETIME_DAYS[role];
  if (!(days > 0)) throw new UpdateError('expiry-too-near', `A lifetime of ${days} days for ${role} makes no sense.`);
  if (days > LIFETIME_DAYS[role])
    refuse(
      signing,
      'lifetime-too-long',
      `${role}.json would be good for ${days} days; anyone who keeps a copy could hold hosts on it that long. The usual are ${LIFETIME_DAYS[role]}.`,
    );
  return days;
}

const SLACK_MS = 5 * 60_000;
const DAY = 86_400_000;
