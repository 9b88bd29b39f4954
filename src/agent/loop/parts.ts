/** What the loop needs of the world: one narrow interface for each hand that does something. */

import type { Departure, Method, Outcome, Release, SlotName, State, Verdict } from '../../model.ts';
import type { BootBackend } from '../../reboot/bootloaders/bootloader.ts';
import type { Choice, Jump } from '../../reboot/methods/choose.ts';
import type { Event, Facts } from './machine.ts';

/** What a check found: something to write, something that already lies in the free slot, or nothing with the reason. */
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
  /** Everything that can be done while services run; returns what remains of the choice, `firmware` when something failed. */
  prepare(choice: Choice, target: SlotName): Promise<Choice>;
  /** What to remember of this moment. */
  departure(choice: Choice): Departure;
  /** Leaves past the boot loader. Returns when systemd has agreed. */
  jump(method: Jump): Promise<void>;
  /** Takes back what was prepared. */
  undo(): Promise<void>;
}

export interface Parts {
  readonly boot: BootBackend;
  readonly tries: number;
  observe(state: State): Promise<Facts>;
  /** Asks the repository (or takes up what an operator asked for). Throws when it could not be asked. */
  check(state: State): Promise<Found>;
  /** Everything that can be refused before the first write: trust, fit, sizes, space, that the slot is free. Holds the slot open. */
  prepare(release: Release, target: SlotName): Promise<Prepared>;
  /** The health of the running system. */
  probe(): Promise<Verdict>;
  /** Writes down, durably, which units have failed in the system that is about to be left. */
  noteFailed(): Promise<void>;
  /** Through firmware and boot loader. */
  reboot(): Promise<void>;
  readonly restart: Restart;
  /** A lock on rebooting: asked for when every gate is open, kept until the new system is proven. */
  readonly lock: Readonly<{ take(): Promise<void>; giveBack(outcome?: Outcome): Promise<void> }>;
  /** The dead man's switch: names a slot on trial to something that works when we do not. */
  readonly deadMan: Readonly<{ set(target: SlotName): Promise<void>; clear(): Promise<void> }>;
  /** Writes the outcome to the history and remembers a refusal; repeating it adds nothing. */
  report(outcome: Outcome): Promise<void>;
  /** Writes to the history why what is staged is not armed any more, if it was; repeating it adds nothing. */
  reportDisarmed(): Promise<void>;
  /** Saves the state that `event` leads to; returns it. */
  save(state: State, event: Event): Promise<State>;
}
