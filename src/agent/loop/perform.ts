/** Performs one action, in an order in which power may fail after every line. */

import { asUpdateError, isOfRelease, UpdateError } from '../../errors.ts';
import { otherSlot, type SlotName, type State } from '../../model.ts';
import type { Jump } from '../../reboot/methods/choose.ts';
import type { Action, Event } from './machine.ts';
import type { Found, Parts } from './parts.ts';

/** Performs `action` and saves the result; returns the new state, or the old one if nothing changed. */
export async function perform(parts: Parts, state: State, action: Action): Promise<State> {
  switch (action.do) {
    case 'note':
      return parts.save(state, action.event);
    case 'wait':
      return state;
    case 'settle':
      return settle(parts, state, action);
    case 'check':
      return check(parts, state);
    case 'stage':
      return stage(parts, state, action);
    case 'arm':
      return arm(parts, state, action);
    case 'disarm':
      return disarm(parts, state, action);
    case 'mend':
      return mend(parts, state, action);
    case 'reboot':
      return reboot(parts, state, action);
    case 'probe':
      return probe(parts, state, action);
    case 'fall-back':
      return fallBack(parts, state, action);
  }
}

type Of<K extends Action['do']> = Extract<Action, { do: K }>;

async function settle(parts: Parts, state: State, action: Of<'settle'>): Promise<State> {
  const failure = await parts.report(action.outcome).then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  // Other hosts wait for the lock, and a full disk is no reason to keep it. A failed release is tried again later.
  if (!action.keepLock) {
    await parts.deadMan.clear();
    await parts.lock.giveBack(action.outcome);
  }
  if (failure) throw failure.error;
  return parts.save(state, { type: 'settled' });
}

async function check(parts: Parts, state: State): Promise<State> {
  // Before the answer, after which the lock may be requested.
  const target = otherSlot((await parts.observe(state)).booted);
  const found = await parts.check(state);
  switch (found.found) {
    case 'offer':
      return parts.save(state, { type: 'offered', ...named(found), target });
    case 'present':
      return parts.save(state, { type: 'chosen', ...named(found), target });
    case 'withdrawn':
      return parts.save(state, { type: 'withdrawn', code: found.code, reason: found.reason });
    case 'nothing':
      return state;
  }
}

const named = ({ release, byHand }: Extract<Found, { found: 'offer' | 'present' }>) => ({
  release,
  ...(byHand ? { byHand } : {}),
});

async function stage(parts: Parts, state: State, action: Of<'stage'>): Promise<State> {
  const started = await parts.save(state, { type: 'started' });
  try {
    await using prepared = await parts.prepare(action.release, action.target);
    // Mark bad before writing: from here on no boot entry leads to this slot.
    await parts.boot.disable(action.target);
    await prepared.write();
  } catch (error) {
    const event = failure(error);
    if (event.type === 'write-failed') return parts.save(started, event);
    // Saved if possible, and reported either way.
    await parts.save(started, event).catch(() => undefined);
    throw error;
  }
  return parts.save(started, { type: 'written' });
}

async function arm(parts: Parts, state: State, action: Of<'arm'>): Promise<State> {
  await parts.lock.take();
  try {
    await parts.noteFailed();
    // The switch first: an armed slot without it could start a system in which we cannot run.
    await parts.deadMan.set(action.target);
    await parts.boot.arm(action.target, parts.tries);
  } catch (error) {
    await giveBackUnlessArmed(parts, action.target);
    throw error;
  }
  const { bootId } = await parts.observe(state);
  return parts.save(state, { type: 'armed', bootId });
}

/** A boot partition may stay unwritable for days, and the fleet should not wait for it. If the next boot leads to the target, the lock stays. */
async function giveBackUnlessArmed({ boot, lock }: Parts, target: SlotName): Promise<void> {
  const view = await boot.read().catch(() => undefined);
  if (view === undefined || view.next === target) return;
  // The failure that ended the arming is the one to report.
  await lock.giveBack().catch(() => undefined);
}

/** Repeated until it finishes: the switch marks it as unfinished, and is cleared last. */
async function disarm(parts: Parts, state: State, { booted }: Of<'disarm'>): Promise<State> {
  // Never `disable`: it would remove the slot's entry, and the release still waits there.
  await parts.boot.confirm(booted);
  const { next } = await parts.boot.read();
  if (next !== booted)
    throw new UpdateError('boot-confirm-failed', `The boot loader would still start slot ${next ?? '?'} next.`);
  await parts.lock.giveBack();
  await parts.reportDisarmed();
  // May fail for as long as something keeps the slot busy; no other host should wait for that.
  await parts.restart.undo();
  await parts.deadMan.clear();
  return state;
}

/** A slot that was proven before its flags were lost is still proven: no trial, no attempt. */
async function mend({ boot }: Parts, state: State, { booted }: Of<'mend'>): Promise<State> {
  await boot.confirm(booted);
  if (!(await boot.read()).slots[booted].confirmed)
    throw new UpdateError('boot-confirm-failed', `The boot loader still does not report slot ${booted} as confirmed.`);
  return state;
}

async function reboot(parts: Parts, state: State, { target, tried }: Of<'reboot'>): Promise<State> {
  const { restart } = parts;
  // While all services still run: a failure here only costs speed.
  const choice = await restart.prepare(await restart.choose(target, tried), target);
  try {
    // A method is recorded before it is used, so that a failing one is not used twice.
    const left = await parts.save(state, { type: 'left', departure: restart.departure(choice) });
    if (choice.method === 'firmware') await parts.reboot();
    else await jump(parts, choice.method, target);
    return left;
  } catch (error) {
    // The first failure is the one to report. A failed undo is on record, and is repeated later.
    await restart.undo().catch(() => undefined);
    throw error;
  }
}

async function jump(parts: Parts, method: Jump, target: SlotName): Promise<void> {
  // The last thing on disk before the jump: from here on a hang or a power cut ends as after a cold boot.
  await parts.boot.countTry(target);
  try {
    await parts.restart.jump(method);
  } catch (error) {
    // The machine stays, so nothing was tried; with a boot loader that has only one try, it would be gone.
    if (isRefusal(error)) await parts.boot.arm(target, parts.tries);
    throw error;
  }
}

async function probe(parts: Parts, state: State, action: Of<'probe'>): Promise<State> {
  const verdict = await parts.probe();
  if (!verdict.ok) {
    // Without a fallback it stays on trial, and may recover.
    await requireWayBack(parts, action.target, verdict.reason);
    return parts.save(state, { type: 'unhealthy', code: 'unhealthy', reason: verdict.reason });
  }
  try {
    await parts.boot.confirm(action.target);
  } catch (error) {
    // Whatever ends this trial, it was not the health of the release. Saved once if possible, and reported either way.
    const { code, message: reason } = asUpdateError(error);
    const isKnown = code === 'unexpected' || (state.kind === 'trial' && state.hindered?.code === code);
    if (!isKnown) await parts.save(state, { type: 'hindered', code, reason }).catch(() => undefined);
    throw error;
  }
  // The switch names a slot on trial even if the state file is lost: cleared only after the slot is confirmed.
  await parts.deadMan.clear();
  return parts.save(state, { type: 'healthy' });
}

async function fallBack(parts: Parts, state: State, action: Of<'fall-back'>): Promise<State> {
  await requireWayBack(parts, action.from, 'it is condemned');
  // The old slot becomes the default before this one is disabled: some slot boots at every moment.
  await parts.boot.confirm(otherSlot(action.from));
  await parts.boot.disable(action.from);
  // Away from an untrusted system: always through firmware and boot loader.
  await parts.reboot();
  return state;
}

/** A boot loader that has lost its flags knows no proven slot: confirming a slot that never was proven could leave nothing bootable. */
async function requireWayBack({ boot }: Parts, from: SlotName, reason: string): Promise<void> {
  const { slots } = await boot.read();
  if (slots[otherSlot(from)].confirmed) return;
  throw new UpdateError(
    'boot-no-fallback',
    `Slot ${from} must be left (${reason}), but slot ${otherSlot(from)} is not known to start.`,
  );
}

/** The service manager refused; after any other failure the machine may still be leaving. */
const isRefusal = (error: unknown): boolean =>
  error instanceof UpdateError && (error.code === 'reboot-inhibited' || error.code === 'reboot-failed');

/** The release is refused only for its own faults: those of network, disk and host are not. */
function failure(error: unknown): Extract<Event, { type: 'write-failed' | 'stumbled' }> {
  const { code, message: reason } = asUpdateError(error);
  if (code === 'interrupted') throw error;
  // The cause is unknown, so staging starts again soon; the error is kept in case it is given up.
  if (code === 'unexpected') return { type: 'stumbled', code, reason };
  return { type: 'write-failed', code, reason, refuse: isOfRelease(code) };
}
