/** The result of a check: the offer of the channel or an operator, or the release in the other slot. */

import { UpdateError } from '../../errors.ts';
import { otherSlot, type Product, type Release, type Saved, type SlotName, type State } from '../../model.ts';
import type { InstallRequest } from '../../protocol.ts';
import type { BootBackend } from '../../reboot/bootloaders/bootloader.ts';
import type { Clock } from '../../system/clock.ts';
import type { Told } from '../install/installer.ts';
import type { Journal } from '../loop/journal.ts';
import type { Found } from '../loop/parts.ts';
import { isNamed } from '../loop/wish.ts';
import { chosenByHand, heldBack, judge } from './judge.ts';
import type { Releases } from './releases.ts';

type CheckWorld = Readonly<{
  product: Product;
  architecture: string;
  version: string;
  booted: SlotName;
  journal: Pick<Journal, 'refusals' | 'refuse'>;
  boot: Pick<BootBackend, 'read'>;
  releases: Pick<Releases, 'find'>;
  scrub(slot: SlotName, told: Told, signal: AbortSignal): Promise<void>;
  clock: Pick<Clock, 'now'>;
}>;

/** The requested release, or else the channel's, judged for a host that runs this. */
export async function findOffer(
  world: CheckWorld,
  request: InstallRequest | undefined,
  { running, state, signal }: Readonly<{ running: Release; state: State; signal: AbortSignal }>,
): Promise<Found> {
  const stays = request === undefined && state.kind === 'staged' && state.byHand === true;
  const asked = request ?? (stays ? { stays } : {});
  const offered = await world.releases.find(asked, running, world.clock.now(), signal);
  if (stays) return chosenByHand(state.release);
  if ('hold' in offered) return heldBack(offered.hold, state);
  const host = {
    product: world.product,
    architecture: world.architecture,
    agentVersion: world.version,
    running,
    refusals: await world.journal.refusals(),
  };
  const named = request !== undefined && isNamed(request);
  const allowDowngrade = offered.allowDowngrade || request?.allowDowngrade === true;
  return judge(offered.trusted, host, state, { named, allowDowngrade });
}

/** The other slot, fully read and checked. The next poll does not reinstall the release that an operator left. */
export async function findWayBack(
  { product, booted, journal, boot, scrub, clock }: CheckWorld,
  {
    running,
    slots,
    told,
    signal,
  }: Readonly<{ running: Release; slots: Saved['slots']; told: Told; signal: AbortSignal }>,
): Promise<Found> {
  const target = otherSlot(booted);
  const { version } = (await boot.read()).slots[target];
  if (version === undefined) throw new UpdateError('no-way-back');
  await scrub(target, told, signal);
  const reason = 'an operator rolled it back';
  await journal.refuse({ ...running, at: clock.now().toISOString(), code: 'rolled-back-by-hand', reason });
  const known = slots[target];
  return { found: 'present', release: known?.version === version ? known : { product, version }, byHand: true };
}
