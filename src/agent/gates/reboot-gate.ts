/** Everything that can delay the start of a release: an operator's request, the gates of this host, the channel, and last the fleet's lock and the programs. */

import type { Saved, State } from '../../model.ts';
import { reasonOf } from '../../reboot/gates/combine.ts';
import type { Closed } from '../../reboot/gates/gate.ts';
import type { StandingOffer } from '../find/standing-offer.ts';
import type { Facts } from '../loop/machine.ts';
import type { HookGate } from './hook-gate.ts';
import { APPLY_AWAITED, type Gates } from './host-gates.ts';
import type { LockGate } from './lock-gate.ts';

export type RebootGateWorld = Readonly<{
  gates: Gates;
  lock: LockGate;
  hooks: Pick<HookGate, 'isOwed'>;
  offer: Pick<StandingOffer, 'isFresh' | 'objection'>;
}>;

export interface RebootGate {
  /** Their answer now. Takes the lock and runs programs only with `asks`; `isFlagged`: something already leads to the free slot. */
  verdict(saved: Saved, about: Readonly<{ asks: boolean; isFlagged: boolean }>): Promise<GateFacts>;
  /** An operator has asked for the reboot: into the release staged `since`, or into the next one. */
  apply(since?: string): Promise<void>;
  /** The requested reboot is over. */
  forgetApply(): Promise<void>;
  /** The reboot needs an operator's request, and there is none. */
  isApplyAwaited(): boolean;
  /** The closed gates besides those of this host. */
  others(state: State): Promise<readonly Closed[]>;
}

type GateFacts = Pick<Facts, 'gate' | 'isOfferFresh'>;

export function rebootGate({ gates, lock, hooks, offer }: RebootGateWorld): RebootGate {
  let applyAsked = false;
  let isApplyRead = false;
  let objections: Closing | undefined;
  /** The host has begun to leave: its programs run, or have run. Waiting for the lock is no beginning. */
  let isUnderWay = false;
  const isApplyAwaited = (): boolean => !gates.isAutomatic() && !applyAsked;

  const ofHost = async ({ since, state }: Saved): Promise<Closing | undefined> => {
    const all = await gates.ask(since, applyAsked, isUnderWay || state.kind === 'armed');
    const reason = all.open ? offer.objection(state, applyAsked)?.reason : reasonOf(all);
    objections = reason === undefined ? undefined : { ok: false, reason };
    isUnderWay &&= objections === undefined;
    return objections;
  };
  /** A host that a gate keeps here holds no lock and is not drained; but its boot flag is cleared first. */
  const ofStaying = async (saved: Saved, isFlagged: boolean): Promise<Closing | undefined> => {
    const closed = await ofHost(saved);
    if (closed && !isFlagged && ((await lock.isHeld()) || (await hooks.isOwed()))) await lock.giveBack();
    return closed;
  };
  const ofStaged = async (saved: Saved, isFlagged: boolean): Promise<Facts['gate']> => {
    const early = await ofStaying(saved, isFlagged);
    if (early) return early;
    // Before the lock: no host should hold it only to learn that its release was pulled.
    if (!offer.isFresh(saved.state, applyAsked)) return { ok: true };
    const said = await lock.verdict(true, gates.overrides(saved.since, applyAsked) !== undefined);
    isUnderWay = said.ok || said.code === 'hook-later';
    // The preparation may have taken long.
    const late = said.ok && (await hooks.isOwed()) ? await ofStaying(saved, isFlagged) : undefined;
    return late ?? said;
  };

  const verdict = async (saved: Saved, asks: boolean, isFlagged: boolean): Promise<Facts['gate']> => {
    const { kind } = saved.state;
    isUnderWay &&= kind === 'staged';
    if (!isApplyRead) applyAsked ||= await gates.applied.isFor(saved.since);
    isApplyRead = true;
    if (asks && (kind === 'idle' || kind === 'staging') && (await hooks.isOwed())) await lock.giveBack();
    // The lock was taken before the slot was armed, and is held until the attempt has ended.
    if (kind === 'armed') return (asks ? await ofHost(saved) : objections) ?? { ok: true };
    if (isApplyAwaited()) return { ok: false, reason: '`updatectl apply`' };
    if (kind !== 'staged') return { ok: true };
    return asks ? ofStaged(saved, isFlagged) : (objections ?? lock.verdict(false));
  };

  return {
    verdict: async (saved, { asks, isFlagged }) => ({
      gate: await verdict(saved, asks, isFlagged),
      isOfferFresh: offer.isFresh(saved.state, applyAsked),
    }),
    apply: async (since) => {
      applyAsked = true;
      if (since !== undefined) await gates.applied.keep(since);
    },
    forgetApply: async () => {
      applyAsked = false;
      await gates.applied.forget();
    },
    isApplyAwaited,
    others: async (state) => {
      if (isApplyAwaited()) return [APPLY_AWAITED];
      return [offer.objection(state, applyAsked) ?? (await lock.verdict(false))].filter((one) => !one.ok);
    },
  };
}

type Closing = Extract<Facts['gate'], { ok: false }>;
