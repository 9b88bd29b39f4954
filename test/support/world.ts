/** A machine in memory: two slots, a boot loader of either family, and a power supply that fails when told to. */

import assert from 'node:assert/strict';
import { mayWait } from '../../src/agent/loop/journal.ts';
import { decide, type Event, type Facts, INITIAL, transition } from '../../src/agent/loop/machine.ts';
import type { Found, Parts, Restart } from '../../src/agent/loop/parts.ts';
import { perform } from '../../src/agent/loop/perform.ts';
import { UpdateError } from '../../src/errors.ts';
import {
  type Method,
  type Outcome,
  otherSlot,
  type Product,
  type Release,
  type SlotName,
  type State,
  type Version,
} from '../../src/model.ts';
import type { BootBackend, BootView } from '../../src/reboot/bootloaders/bootloader.ts';

export class PowerCut extends Error {}
class Crash extends Error {}

/** What an image does once it is written: start its kernel, start our agent, pass its probes. */
export type Image = Readonly<{
  version: string;
  boots: boolean;
  agent: boolean;
  healthy: boolean;
  /** Its kernel crashes while it is being proven. */
  crashes?: boolean;
}>;
type Slot = { image: Image; whole: boolean; bootable: boolean; tries: number | undefined };
export type Loader = 'priority' | 'newest-first';

export type Scene = Readonly<{
  offer: Image;
  loader: Loader;
  /** Every power cut also loses state.json. */
  losesState?: boolean;
  /** Something else (systemd-bless-boot) confirms a slot as soon as it has started. */
  blessed?: boolean;
  /** Somebody picks the other slot in the boot menu at the first start after a power cut. */
  menu?: boolean;
  gateClosed?: boolean;
  /** The channel takes the release back: as soon as its first byte is written, or while its gate is closed. */
  pulled?: 'as it is written' | 'while it waits';
  /** So often the repository cannot be asked once the release has been written. */
  away?: number;
  /** A gate closes as soon as a slot has been armed for the first time; where three times, then twice when the restart has begun. */
  shuts?: 'for a while' | 'for good' | 'three times';
  /** Writing this release takes the machine down each time. */
  poison?: boolean;
  /** How the machine is restarted. */
  method?: Method;
  /** What becomes of a jump past the boot loader. */
  jump?: 'lands' | 'hangs' | 'brings back' | 'is refused';
  /** From the first start of the new system on, the disk takes nothing, until that has kept the loop from going on a few times. */
  disk?: 'full' | 'read-only';
  /** A unit had failed before: what fails with it is good only where that is on record. */
  failedBefore?: boolean;
  /** No power cuts: the agent alone ends at each point, and is started again. */
  onlyAgent?: boolean;
  /** How many tries the boot loader can count, if not three. */
  tries?: number;
}>;

export type Brain = Readonly<{ decide: typeof decide; transition: typeof transition; perform: typeof perform }>;
export const realBrain: Brain = { decide, transition, perform };

const TRIES = 3;
const STEPS = 200;
const REFUSALS = 3;
const old = (version: string): Slot => ({
  image: { version, boots: true, agent: true, healthy: true },
  whole: true,
  bootable: true,
  tries: undefined,
});

/** Everything that survives or matters, as plain data, so that a power cut can be tried at any point by cloning it. */
export type WorldData = {
  slots: Record<SlotName, Slot>;
  outcomes: string[];
  refused: string[];
  first: SlotName;
  booted: SlotName;
  marker: SlotName | undefined;
  lockHeld: boolean;
  /** Tries that were counted, by the boot loader or before a jump. */
  burnt: number;
  boots: number;
  /** Starts of the armed slot since it was armed. */
  starts: number;
  saved: State;
  /** What the agent remembers and could not save. */
  kept: State | undefined;
  /** Which units had failed in the system before. */
  isNoted: boolean;
  /** What the marker says beside the slot: that its trial has begun, and that the dead man has ended it. */
  began: number;
  expired: boolean;
  /** How often a trial was lost. */
  lost: number;
  /** That the trial of this slot is over, where the disk did not let the marker go; gone with the machine. */
  over: SlotName | undefined;
  disk: 'fine' | 'refuses' | 'fine again';
  /** How often the loop could not go on because of that. */
  refusals: number;
  /** The last attempt failed: nothing is done until the next poll. */
  gaveUp: boolean;
  polls: number;
  menuUsed: boolean;
  shut: 'not yet' | 'now' | 'over';
  shutBefore: number;
  isPulled: boolean;
  asked: number;
};

export const newWorldData = (): WorldData => ({
  slots: { a: old('1'), b: old('0') },
  outcomes: [],
  refused: [],
  first: 'a',
  booted: 'a',
  marker: undefined,
  lockHeld: false,
  burnt: 0,
  boots: 1,
  starts: 0,
  saved: INITIAL,
  kept: undefined,
  isNoted: false,
  began: 0,
  expired: false,
  lost: 0,
  over: undefined,
  disk: 'fine',
  refusals: 0,
  gaveUp: false,
  polls: 0,
  menuUsed: false,
  shut: 'not yet',
  shutBefore: 0,
  isPulled: false,
  asked: 0,
});

/** The machine; `life` runs it until it rests. */
export class World {
  readonly scene: Scene;
  readonly data: WorldData;
  /** What would have survived if power had failed at each point passed. */
  readonly cuts: WorldData[] = [];
  /** What the agent remembers, until it is started anew: that what is staged is still on offer. */
  private isOfferFresh = false;

  constructor(scene: Scene, data: WorldData = newWorldData()) {
    this.scene = scene;
    this.data = data;
  }

  /** The machine as it starts again after a power cut that left `data` behind. */
  static afterCut(scene: Scene, data: WorldData): World {
    const world = new World(scene, structuredClone(data));
    world.cut();
    return world;
  }

  private get tries(): number {
    return this.scene.tries ?? TRIES;
  }

  /** Where the agent is, as it remembers. */
  private get state(): State {
    return this.data.kept ?? this.data.saved;
  }

  get version(): string {
    return this.data.slots[this.data.booted].image.version;
  }

  /** Runs until there is nothing to do. */
  async life(brain: Brain = realBrain, sabotage: (parts: Parts) => Parts = (parts) => parts): Promise<void> {
    const parts = sabotage(this.parts(brain));
    for (let step = 0; step < STEPS; step++) {
      try {
        if (!this.data.slots[this.data.booted].image.agent) this.deadMansTimer();
        else if (await this.rests(brain, parts)) return;
      } catch (error) {
        if (error instanceof PowerCut) this.cut();
        else if (error instanceof Crash) this.start();
        // The loop asks again later.
        else if (!(error instanceof UpdateError)) throw error;
        else if (error.code === 'state-unwritable') this.diskRefused();
      }
    }
    assert.fail(`never came to rest: ${JSON.stringify(this.data.saved)} ${this.data.outcomes}`);
  }

  /** A disk that takes nothing may keep a result from being recorded, and nothing else. */
  private diskRefused(): void {
    assert.ok(this.isConfirmed(), 'a disk that is full holds up a trial');
    assert.equal(this.data.lockHeld, false, 'a disk that is full keeps the lock');
    this.data.refusals++;
    if (this.data.refusals === REFUSALS) this.data.disk = 'fine again';
  }

  private cut(): void {
    if (this.scene.losesState) this.data.saved = INITIAL;
    this.data.kept = undefined;
    if (!this.scene.onlyAgent) this.start();
  }

  private async rests(brain: Brain, parts: Parts): Promise<boolean> {
    const before = this.state;
    const wasFresh = this.isOfferFresh;
    const action = brain.decide(before, await parts.observe(before));
    if (action.do === 'wait') return !this.reopens() && !this.nextPoll();
    await brain.perform(parts, before, action);
    if (action.do !== 'check' || this.state !== before || this.isOfferFresh !== wasFresh) return false;
    return !this.reopens();
  }

  private reopens(): boolean {
    if (this.data.shut !== 'now' || this.scene.shuts === 'for good') return false;
    const isOver = this.scene.shuts === 'for a while' || ++this.data.shutBefore === 3;
    this.data.shut = isOver ? 'over' : 'not yet';
    return true;
  }

  private nextPoll(): boolean {
    const due = this.data.gaveUp && this.data.polls++ < 1;
    this.data.gaveUp &&= !due;
    return due;
  }

  /** Power may fail here. */
  private point(): void {
    this.cuts.push(structuredClone(this.data));
  }

  /** The boot loader and the kernel. */
  private start(): void {
    for (let guard = 0; guard < 20; guard++) {
      this.data.boots++;
      const name = this.choose();
      const slot = this.data.slots[name];
      this.data.over = undefined;
      if (slot.tries !== undefined) {
        slot.tries--;
        this.data.burnt++;
      }
      if (this.runs(name)) return;
      assert.notEqual(slot.tries, undefined, 'BRICK: a slot that cannot start is not counted');
    }
    assert.fail('BRICK: boot loop');
  }

  /** The kernel and what it starts; false when that ends in a restart. */
  private runs(name: SlotName): boolean {
    const slot = this.data.slots[name];
    if (slot.tries !== undefined)
      assert.ok(
        ++this.data.starts <= this.tries,
        'UNCOUNTED: a slot on trial was started more often than it has tries',
      );
    if (!slot.whole || !slot.image.boots) return false;
    this.data.booted = name;
    this.data.kept = undefined;
    // An early unit of the system, which needs no agent.
    if (this.data.marker === name) this.data.began++;
    if (this.scene.disk && this.data.disk === 'fine' && slot.image === this.scene.offer) this.data.disk = 'refuses';
    this.isOfferFresh = false;
    if (this.scene.blessed) slot.tries = undefined;
    return true;
  }

  /** A start of the armed slot past the boot loader. */
  private jump(method: Method, target: SlotName): void {
    this.point();
    const { jump = 'lands' } = this.scene;
    if (jump === 'is refused') throw new UpdateError('reboot-failed');
    if (jump === 'brings back' && method === 'soft') return;
    if (method === 'kexec') this.data.boots++;
    // A jump that leads nowhere ends at the power switch, or at the watchdog.
    if (jump === 'hangs') this.data.starts++;
    if (jump === 'hangs' || !this.runs(target)) this.start();
  }

  private restart(): Restart {
    const { method = 'firmware' } = this.scene;
    let target: SlotName = 'b';
    return {
      choose: async (_target, tried) => ({ method: tried.length > 0 ? 'firmware' : method, reason: '', ruledOut: [] }),
      prepare: async (choice, to) => {
        this.point();
        target = to;
        return choice;
      },
      departure: ({ method: by, reason }) => ({ method: by, reason, at: '', uptimeMs: 0, bootId: '' }),
      jump: async (by) => this.jump(by, target),
      undo: async () => this.point(),
    };
  }

  private choose(): SlotName {
    const [first, second] = this.startable();
    assert.ok(first, 'BRICK: no bootable slot');
    if (!this.scene.menu || this.data.menuUsed) return first;
    this.data.menuUsed = true;
    return second && first === this.data.booted ? second : first;
  }

  /** The slots that can be started, the one that comes next first. */
  startable(): readonly SlotName[] {
    const newest: SlotName = this.data.slots.a.image.version >= this.data.slots.b.image.version ? 'a' : 'b';
    const lead = this.scene.loader === 'newest-first' ? newest : this.data.first;
    return [lead, otherSlot(lead)].filter(
      (name) => this.data.slots[name].bootable && this.data.slots[name].tries !== 0,
    );
  }

  /** Works without our agent: a system on trial that is still running after its time is restarted, its entry marked bad. */
  private deadMansTimer(): void {
    assert.equal(this.data.marker, this.data.booted, 'STUCK: a system without an agent, and nobody notices');
    const slot = this.data.slots[this.data.booted];
    if (slot.tries === undefined) slot.bootable = false;
    this.data.expired = true;
    this.start();
  }

  private release(image: Image): Release {
    return { product: 'test' as Product, version: image.version as Version };
  }

  private parts(brain: Brain): Parts {
    return {
      boot: this.loader(),
      tries: this.tries,
      observe: async () => {
        this.flush();
        return this.facts();
      },
      check: async (state) => this.check(state),
      prepare: async (_release, target) => ({
        write: async () => this.write(target),
        [Symbol.asyncDispose]: async () => {},
      }),
      probe: async () => {
        const { healthy, crashes } = this.data.slots[this.data.booted].image;
        if (crashes) throw new Crash();
        return healthy && (!this.scene.failedBefore || this.data.isNoted)
          ? { ok: true }
          : { ok: false, reason: 'sick' };
      },
      reboot: async () => {
        this.point();
        this.start();
      },
      noteFailed: async () => this.noteFailed(),
      restart: this.restart(),
      lock: { take: async () => this.setLock(true), giveBack: async () => this.setLock(false) },
      deadMan: { set: async (target) => this.setMarker(target), clear: async () => this.setMarker(undefined) },
      report: async (outcome) => this.report(outcome),
      reportDisarmed: async () => this.point(),
      save: async (state, event) => this.save(brain, state, event),
    };
  }

  private facts(): Facts {
    return {
      booted: this.data.booted,
      running: this.release(this.data.slots[this.data.booted].image),
      confirmed: this.isConfirmed(),
      isLost: false,
      bootId: String(this.data.boots),
      leaving: false,
      trial: { began: this.data.began, expired: this.data.expired, lost: this.data.lost },
      isFlagged: [this.data.marker, this.startable()[0]].includes(otherSlot(this.data.booted)),
      gate: this.scene.gateClosed || this.data.shut === 'now' ? { ok: false, reason: 'closed' } : { ok: true },
      isOfferFresh: this.isOfferFresh,
      checkDue: !this.data.gaveUp,
    };
  }

  private isConfirmed(): boolean {
    const { slots, booted, marker, over } = this.data;
    return slots[booted].tries === undefined && slots[booted].bootable && (marker !== booted || over === booted);
  }

  private check(state: State): Found {
    const nothing = { found: 'nothing', code: 'up-to-date', reason: '' } as const;
    const { version } = this.scene.offer;
    if (state.kind === 'staged' && this.data.asked++ < (this.scene.away ?? 0))
      throw new UpdateError('server-unreachable');
    if (this.data.isPulled && state.kind === 'staged') return { found: 'withdrawn', code: 'paused', reason: '' };
    if (this.version >= version || this.data.isPulled || this.data.refused.includes(version)) return nothing;
    if (state.kind !== 'staged') return { found: 'offer', release: this.release(this.scene.offer) };
    this.isOfferFresh = true;
    return nothing;
  }

  private write(target: SlotName): void {
    assert.notEqual(target, this.data.booted, 'DANGER: wrote to the running slot');
    if (this.scene.poison) throw new PowerCut();
    const slot = this.data.slots[target];
    this.data.isPulled ||= this.scene.pulled === 'as it is written';
    this.point();
    slot.whole = false;
    slot.image = this.scene.offer;
    this.point();
    slot.whole = true;
    this.point();
  }

  private setLock(held: boolean): void {
    this.point();
    if (!held && this.data.lockHeld)
      assert.equal(this.facts().confirmed, true, 'lock given back by an unproven system');
    this.data.lockHeld = held;
  }

  private setMarker(target: SlotName | undefined): void {
    this.point();
    if (target !== undefined) this.mustWrite();
    if (target !== undefined) Object.assign(this.data, { began: 0, expired: false });
    this.data.over = target === undefined ? this.data.marker : undefined;
    if (target === undefined && this.data.disk === 'refuses' && this.scene.disk === 'read-only') return;
    this.data.marker = target;
  }

  private report(outcome: Outcome): void {
    this.point();
    if (outcome.result === 'none') return;
    this.mustWrite();
    this.flush();
    this.data.outcomes.push(outcome.result);
    if ('code' in outcome && outcome.code === 'trial-lost') this.data.lost++;
    if (outcome.result === 'failed') this.data.gaveUp = true;
    if (outcome.result !== 'updated' && outcome.refuse) this.data.refused.push(outcome.release.version);
  }

  private save(brain: Brain, state: State, event: Event): State {
    this.point();
    const next = brain.transition(state, event);
    if (!mayWait(event)) this.mustWrite();
    if (this.data.disk === 'refuses') {
      this.data.kept = next;
      return next;
    }
    this.data.saved = next;
    this.data.kept = undefined;
    const closesAt = this.data.shutBefore === 0 ? 'armed' : 'left';
    if (event.type === closesAt && this.scene.shuts && this.data.shut === 'not yet') this.data.shut = 'now';
    // It waits for longer than an answer is good for.
    if (event.type === 'disarmed') this.isOfferFresh = false;
    if (event.type === 'disarmed') this.data.isPulled ||= this.scene.pulled === 'while it waits';
    this.point();
    return this.data.saved;
  }

  private noteFailed(): void {
    this.point();
    this.mustWrite();
    this.data.isNoted = true;
  }

  private mustWrite(): void {
    if (this.data.disk === 'refuses') throw new UpdateError('state-unwritable');
  }

  private flush(): void {
    if (this.data.kept === undefined || this.data.disk === 'refuses') return;
    this.point();
    this.data.saved = this.data.kept;
    this.data.kept = undefined;
    this.point();
  }

  private loader(): BootBackend {
    const change = async (name: SlotName, boot: Pick<Slot, 'bootable' | 'tries'>): Promise<void> => {
      this.point();
      Object.assign(this.data.slots[name], boot);
    };
    return {
      name: this.scene.loader,
      mostTries: 9,
      read: async () => this.view(),
      disable: (name) => change(name, { bootable: false, tries: 0 }),
      arm: async (name, tries) => {
        await change(name, { bootable: true, tries });
        this.data.starts = 0;
        this.point();
        this.data.first = name;
      },
      confirm: async (name) => {
        await change(name, { bootable: true, tries: undefined });
        this.point();
        this.data.first = name;
        // Where the newest comes first, one that is not proven is put last.
        const other = this.data.slots[otherSlot(name)];
        if (this.scene.loader === 'newest-first' && other.bootable && other.tries !== undefined)
          await change(otherSlot(name), { bootable: true, tries: 0 });
      },
      countTry: async (name) => {
        const { bootable, tries = 0 } = this.data.slots[name];
        await change(name, { bootable, tries: tries - 1 });
        this.data.burnt++;
      },
    };
  }

  private view(): BootView {
    const of = ({ bootable, tries }: Slot) => ({
      bootable,
      confirmed: bootable && tries === undefined,
      ...(tries === undefined ? {} : { triesLeft: tries }),
    });
    return { next: this.startable()[0], slots: { a: of(this.data.slots.a), b: of(this.data.slots.b) } };
  }
}
