/** What the loop needs from the world: one narrow interface for each kind of work. */

import type { Departure, Method, Outcome, Release, SlotName, State, Verdict } from '../../model.ts';
import type { BootBackend } from '../../reboot/bootloaders/bootloader.ts';
import type { Choice, Jump } from '../../reboot/methods/choose.ts';
import type { Event, Facts } from './machine.ts';

/** The result of a check: a release to write, a release already in the free slot, or nothing with the reason. */
export type Found =
  | Readonly<{ found: 'offer'; release: Release; byHand?: true }>
  | Readonly<{ found: 'present'; release: Release; byHand?: true }>
  | Readonly<{ found: 'nothing'; code: string; reason: string; until?: string }>
  | Readonly<{ found: 'withdrawn'; code: string; reason: string }>;

/** A free slot, opened exclusively, and a release that fits it. */
export interface Prepared extends AsyncDisposable {
  /** Fills the slot and reads it back; its boot entry is already disabled. Ends with the slot findable by its entry. */
  write(): Promise<void>;
}

/** The ways from here into an armed slot. */
export interface Restart {
  /** The fastest that is safe now. */
  choose(target: SlotName, tried: readonly Method[]): Promise<Choice>;
  /** Everything that can be done while services run; returns the choice, or `firmware` if something failed. */
  prepare(choice: Choice, target: SlotName): Promise<Choice>;
  /** The record of this moment. */
  departure(choice: Choice): Departure;
  /** Restarts without the boot loader. Returns when systemd has agreed. */
  jump(method: Jump): Promise<void>;
  /** Undoes the preparation. */
  undo(): Promise<void>;
}

export interface Parts {
  readonly boot: BootBackend;
  readonly tries: number;
  observe(state: State): Promise<Facts>;
  /** Checks the repository, or takes up an operator's request. Throws if the repository could not be checked. */
  check(state: State): Promise<Found>;
  /** Checks everything before the first write: trust, fit, sizes, space, a free slot. Holds the slot open. */
  prepare(release: Release, target: SlotName): Promise<Prepared>;
  /** The health of the running system. */
  probe(): Promise<Verdict>;
  /** Records, durably, the failed units of the system that is about to be left. */
  noteFailed(): Promise<void>;
  /** Through firmware and boot loader. */
  reboot(): Promise<void>;
  readonly restart: Restart;
  /** A reboot lock: requested when every gate is open, held until the new system is proven. */
  readonly lock: Readonly<{ take(): Promise<void>; giveBack(outcome?: Outcome): Promise<void> }>;
  /** The dead man's switch: names a slot on trial to a timer that works even if we do not. */
  readonly deadMan: Readonly<{ set(target: SlotName): Promise<void>; clear(): Promise<void> }>;
  /** Records the outcome in the history, and a refusal; repeating it adds nothing. */
  report(outcome: Outcome): Promise<void>;
  /** Records in the history why the staged release is no longer armed, if it was; repeating it adds nothing. */
  reportDisarmed(): Promise<void>;
  /** Saves the state that `event` leads to; returns it. */
  save(state: State, event: Event): Promise<State>;
}
