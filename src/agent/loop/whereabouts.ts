/** Where the machine is and how it got here, according to the boot loader, the dead man's switch and the journal. */

import { otherSlot, type Product, type Saved, type SlotName, type Version } from '../../model.ts';
import type { BootBackend } from '../../reboot/bootloaders/bootloader.ts';
import type { DeadMan, Marker } from '../../reboot/dead-man.ts';
import { runningRelease } from '../find/running-release.ts';
import { isRefused, type Journal } from './journal.ts';
import { HISTORY_LIMIT } from './journal-format.ts';
import { type Facts, LOST_CODES } from './machine.ts';

export type Place = Pick<Facts, 'booted' | 'running' | 'confirmed' | 'isLost' | 'bootId' | 'isFlagged' | 'trial'>;

type PlaceWorld = Readonly<{
  product: Product;
  booted: SlotName;
  bootId: string;
  systemVersion: Version;
  boot: Pick<BootBackend, 'read'>;
  deadMan: Pick<DeadMan, 'read'>;
  journal: Pick<Journal, 'refusals' | 'history'>;
}>;

export async function whereabouts(world: PlaceWorld, saved: Saved): Promise<Place> {
  const { booted, bootId, journal } = world;
  const view = await world.boot.read();
  const marker = await world.deadMan.read();
  const free = otherSlot(booted);
  const running = runningRelease(world, saved, view);
  // A refused release that started by chance has to prove itself.
  const isLost = view.isLost === true && !isRefused(await journal.refusals(), running);
  return {
    booted,
    running,
    confirmed: view.slots[booted].confirmed && marker?.slot !== booted,
    isLost: isLost && marker?.slot !== booted,
    bootId,
    isFlagged: view.next === free || marker?.slot === free,
    trial: await pastTrial(journal, saved, booted, marker),
  };
}

async function pastTrial(
  journal: Pick<Journal, 'history'>,
  { state }: Saved,
  booted: SlotName,
  marker: Marker | undefined,
): Promise<Facts['trial']> {
  if (state.kind !== 'armed' && state.kind !== 'trial') return NONE;
  const { began, expired } = marker?.slot === state.target ? marker : NONE;
  if (state.target === booted) return { began, expired, lost: 0 };
  const before = (await journal.history(HISTORY_LIMIT)).filter(({ version }) => version === state.release.version);
  return { began, expired, lost: before.filter(({ code = '' }) => LOST_CODES.includes(code)).length };
}

const NONE = { began: 0, expired: false, lost: 0 } as const;
