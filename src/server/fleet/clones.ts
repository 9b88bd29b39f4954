/** Whether one id is one machine: copies of a disk share id and secret, but speak from boots that run at the same time. Pure. */

import type { BootFacts, HostFacts } from '../../formats/check-in.ts';

/** A boot as it is remembered. `began`: in seconds, by the server's clock; `back`: it spoke after another one had. */
export type Boot = Readonly<{ id: string; began?: number; hardware?: string; back?: true }>;

/** Two machines have the id: `since` then, and `at` that time it was seen last. `other` is the one that had spoken before. */
export type Cloned = Readonly<{ since: string; at: string; other: Pick<HostFacts, 'name' | 'address'> }>;

/** What a machine's record knows of its boots: the last that spoke, and some before it, the newest last. */
export type Boots = Readonly<{ boot?: Boot; past?: readonly Pick<Boot, 'id' | 'back'>[]; cloned?: Cloned }>;

type Before = Boots & Readonly<{ lastSeen: string; host?: HostFacts }>;
type Speaker = Readonly<{ boot?: BootFacts; host?: HostFacts }>;

/** What is known once a host has spoken. An agent that does not say from which boot changes nothing. */
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

/** A reboot is a new boot that began after the last word of the one before; a clock may be a little off, and a request late. */
const SLACK_S = 120;
/** As many copies as are told from machines that reboot. */
const MOST_PAST = 4;
/** Whoever has not been seen twice for so long is one again. */
const CLONED_MS = 24 * 3_600_000;

/** Half of each is enough to tell them apart. */
const short = (hex: string): string => hex.slice(0, 16);

const bootOf = ({ id, seconds, hardware }: BootFacts, now: Date): Boot => ({
  id: short(id),
  ...(seconds === undefined ? {} : { began: Math.floor(now.getTime() / 1000) - seconds }),
  ...(hardware === undefined ? {} : { hardware: short(hardware) }),
});

const pastOf = (past: Boots['past'] = []): Pick<Boots, 'past'> => (past.length === 0 ? {} : { past });

const withoutLoss = (past: NonNullable<Boots['past']>, { id, back }: Boot, here: Boot): NonNullable<Boots['past']> =>
  [...past.filter((one) => one.id !== here.id), { id, ...(back ? { back } : {}) }].slice(-MOST_PAST);

/** It was running when the other spoke, as it says itself. */
const ranAlready = ({ began }: Boot, { lastSeen }: Before): boolean =>
  began !== undefined && began < Date.parse(lastSeen) / 1000 - SLACK_S;

/** Copied with its memory it is the same boot, begun at another time. One that slept has begun later than it had, never earlier. */
const isEarlier = ({ began }: Boot, last: Boot): boolean =>
  began !== undefined && last.began !== undefined && began < last.began - SLACK_S;

/** A machine that is set back to a snapshot of its memory speaks from an old boot as well, but is the same machine in the same place. */
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

/** Where to find it. */
export const whereOf = ({ name, address }: HostFacts): Cloned['other'] => ({
  ...(name === undefined ? {} : { name }),
  ...(address === undefined ? {} : { address }),
});

function stillCloned(before: Before | undefined, now: Date): Pick<Boots, 'cloned'> {
  const { cloned } = before ?? {};
  return cloned && Math.abs(now.getTime() - Date.parse(cloned.at)) < CLONED_MS ? { cloned } : {};
}
