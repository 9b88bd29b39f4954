/** Detects that two machines share an id: copies of a disk share id and secret, but report from boots that run at the same time. Pure. */

import type { BootFacts, HostFacts } from '../../formats/check-in.ts';

/** A boot as recorded. `began`: in seconds, by the server's clock; `back`: it reported again after another boot had. */
export type Boot = Readonly<{ id: string; began?: number; hardware?: string; back?: true }>;

/** Two machines share the id: `since` then, last seen `at`. `other`: the one that reported before. */
export type Cloned = Readonly<{ since: string; at: string; other: Pick<HostFacts, 'name' | 'address'> }>;

/** The boots in a machine's record: the last one to report, and some before it, newest last. */
export type Boots = Readonly<{ boot?: Boot; past?: readonly Pick<Boot, 'id' | 'back'>[]; cloned?: Cloned }>;

type Before = Boots & Readonly<{ lastSeen: string; host?: HostFacts }>;
type Speaker = Readonly<{ boot?: BootFacts; host?: HostFacts }>;

/** Updates the record after a check-in. An agent that does not report its boot changes nothing. */
export function bootsAfter(before: Before | undefined, speaker: Speaker, now: Date): Boots {
  const cloned = stillCloned(before, now);
  if (!speaker.boot) return { ...(before?.boot ? { boot: before.boot } : {}), ...pastOf(before?.past), ...cloned };
  const here = bootOf(speaker.boot, now);
  const last = before?.boot;
  if (!before || !last) return { boot: here, ...cloned };
  const known = before.past?.find(({ id }) => id === here.id);
  const past = here.id === last.id ? (before.past ?? []) : withoutLoss(before.past ?? [], last, here);
  const isStrange = here.id === last.id ? isEarlier(here, last) : known !== undefined || ranAlready(here, before);
  const back = isStrange || known?.back || (here.id === last.id && last.back) ? ({ back: true } as const) : {};
  const isProof = isStrange && (looksOther(before, speaker, here) || past.some((one) => one.back));
  return {
    boot: { ...here, ...back },
    ...pastOf(past),
    ...(isProof ? { cloned: clonedNow(before, now) } : cloned),
  };
}

export const isOtherHardware = (before: Boots | undefined, boot: BootFacts | undefined): boolean =>
  before?.boot?.hardware !== undefined && boot?.hardware !== undefined && before.boot.hardware !== short(boot.hardware);

/** After a reboot, the new boot began after the old one's last report, allowing for inaccurate clocks and slow requests. */
const SLACK_S = 120;
/** The most copies distinguished from rebooting machines. */
const MOST_PAST = 4;
/** After this long without a second machine, the id is unique again. */
const CLONED_MS = 24 * 3_600_000;

/** Half of each is enough to distinguish them. */
const short = (hex: string): string => hex.slice(0, 16);

const bootOf = ({ id, seconds, hardware }: BootFacts, now: Date): Boot => ({
  id: short(id),
  ...(seconds === undefined ? {} : { began: Math.floor(now.getTime() / 1000) - seconds }),
  ...(hardware === undefined ? {} : { hardware: short(hardware) }),
});

const pastOf = (past: Boots['past'] = []): Pick<Boots, 'past'> => (past.length === 0 ? {} : { past });

const withoutLoss = (past: NonNullable<Boots['past']>, { id, back }: Boot, here: Boot): NonNullable<Boots['past']> =>
  [...past.filter((one) => one.id !== here.id), { id, ...(back ? { back } : {}) }].slice(-MOST_PAST);

/** By its own uptime, it was running when the other one reported. */
const ranAlready = ({ began }: Boot, { lastSeen }: Before): boolean =>
  began !== undefined && began < Date.parse(lastSeen) / 1000 - SLACK_S;

/** A copy made with its memory has the same boot id with another start time. A machine that slept seems to have started later, never earlier. */
const isEarlier = ({ began }: Boot, last: Boot): boolean =>
  began !== undefined && last.began !== undefined && began < last.began - SLACK_S;

/** A machine reverted to a memory snapshot also reports from an old boot, but is the same machine at the same address. */
function looksOther({ boot, host: last = {} }: Before, { host = {} }: Speaker, here: Boot): boolean {
  const pairs = [
    [boot?.hardware, here.hardware],
    [last.address, host.address],
    [last.name, host.name],
  ] as const;
  return pairs.some(([one, other]) => one !== undefined && other !== undefined && one !== other);
}

function clonedNow({ cloned, host = {} }: Before, now: Date): Cloned {
  return { since: cloned?.since ?? now.toISOString(), at: now.toISOString(), other: whereOf(host) };
}

/** Its name and address. */
export const whereOf = ({ name, address }: HostFacts): Cloned['other'] => ({
  ...(name === undefined ? {} : { name }),
  ...(address === undefined ? {} : { address }),
});

function stillCloned(before: Before | undefined, now: Date): Pick<Boots, 'cloned'> {
  const { cloned } = before ?? {};
  return cloned && Math.abs(now.getTime() - Date.parse(cloned.at)) < CLONED_MS ? { cloned } : {};
}
