/** A rollout told as plainly as it can be: releases are whole numbers, hosts are in lists, and nothing is fast. What the real code is held to. */

import type { MachineId, Version } from '../../src/model.ts';
import { turnOf } from '../../src/rollout/ramp.ts';

/** Times in milliseconds. */
export type Terms = Readonly<{
  release: number;
  barriers: readonly number[];
  deadEnds: readonly number[];
  pins: Readonly<Record<string, number>>;
  held: readonly string[];
  canaries: readonly string[];
  start: number;
  soak: number;
  duration: number;
  inFlight: number;
  failures: number;
  patience: number;
}>;

export type PlainHost = { readonly id: MachineId; readonly group: string; running: number; confirmed: boolean };

export const versionOf = (release: number): Version => `${release}.0` as Version;

/** What a host says when it calls. */
export type PlainCall = Readonly<{
  idle: boolean;
  wants?: number;
  refuses?: number;
  ended?: Readonly<{ release: number; how: string; fault: string }>;
}>;

export class PlainRollout {
  readonly underWay: { id: string; to: number; due: number }[] = [];
  failed: { id: string; at: number; doubt: 'no' | 'silent' | 'lost' }[] = [];
  /** Whom an operator has let in again, and who has not begun since. */
  readonly again = new Set<string>();
  readonly made: string[] = [];
  braked: 'no' | 'by failures' | 'by hand' = 'no';
  paused = false;
  private readonly terms: Terms;

  constructor(terms: Terms) {
    this.terms = terms;
  }

  goalOf({ group }: PlainHost): number {
    return Math.min(this.terms.pins[group] ?? this.terms.release, this.terms.release);
  }

  /** What was signed says to a host: a release, that it has it, or why it must wait. */
  signed(host: PlainHost, now: number): number | string {
    const { terms } = this;
    const goal = this.goalOf(host);
    if (host.running === goal) return 'current';
    if (terms.deadEnds.includes(host.running)) return 'dead-end';
    if (this.paused) return 'paused';
    if (terms.held.includes(host.group)) return 'group-held';
    if (host.running > goal) return host.group in terms.pins ? 'pinned' : 'downgrade';
    if (now < terms.start) return 'not-started';
    const isCanary = terms.canaries.includes(host.group);
    const soaked = terms.start + (terms.canaries.length > 0 ? terms.soak : 0);
    if (!isCanary && now < soaked) return 'canaries-first';
    const turn = turnOf(host.id, versionOf(terms.release));
    if (!isCanary && now - soaked <= turn * terms.duration && now - soaked < terms.duration) return 'not-your-turn';
    const between = terms.barriers.filter((one) => one > host.running && one < goal);
    return between.length > 0 ? Math.min(...between) : goal;
  }

  /** A host calls the server: `go`, or why not. */
  call(host: PlainHost, { idle, wants, refuses, ended }: PlainCall, now: number): string {
    this.count(host, idle, ended);
    this.brakeIfDue();
    if (wants === undefined) {
      const isAskedToTry = this.braked === 'no' && this.again.has(host.id) && this.signed(host, now) === refuses;
      if (idle) this.forgetUnderWay(host.id);
      return isAskedToTry ? 'try again' : 'go';
    }
    const answer = this.answer(host, wants, now);
    if (idle && answer !== 'go') this.forgetUnderWay(host.id);
    return answer;
  }

  /** Who is late has failed. */
  pass(now: number): void {
    for (const one of this.underWay.filter(({ due }) => due <= now)) {
      this.forgetUnderWay(one.id);
      this.failed.push({ id: one.id, at: one.to, doubt: 'silent' });
    }
    this.brakeIfDue();
  }

  brakeByHand(): void {
    if (this.braked === 'no') this.braked = 'by hand';
  }

  release(): void {
    if (this.braked === 'by failures') for (const { id } of [...this.failed]) this.letIn(id);
    this.braked = 'no';
  }

  letIn(id: string): void {
    this.failed = this.failed.filter((one) => one.id !== id);
    this.again.add(id);
  }

  private count(host: PlainHost, idle: boolean, ended: PlainCall['ended']): void {
    const isKnown = [...this.underWay, ...this.failed].some(({ id }) => id === host.id);
    if (host.confirmed && host.running === this.goalOf(host)) {
      if (isKnown) this.made.push(host.id);
      this.forget(host.id);
      return;
    }
    const tried =
      this.underWay.find(({ id }) => id === host.id)?.to ?? this.failed.find(({ id }) => id === host.id)?.at;
    if (host.confirmed && host.running === tried && tried !== this.terms.release) this.forget(host.id);
    if (idle) this.failed = this.failed.filter(({ id, doubt }) => id !== host.id || doubt !== 'silent');
    if (!ended || ended.how === 'updated' || !this.isStep(ended.release)) return;
    if (ended.how !== 'withdrawn' && ended.fault !== 'surroundings') {
      this.forget(host.id);
      this.failed.push({ id: host.id, at: ended.release, doubt: ended.fault === 'doubt' ? 'lost' : 'no' });
    } else if (this.underWay.some(({ id, to }) => id === host.id && to === ended.release)) this.forgetUnderWay(host.id);
  }

  private answer(host: PlainHost, wants: number, now: number): string {
    const signed = this.signed(host, now);
    if (signed === 'current') return wants === host.running ? 'go' : 'not-on-offer';
    if (typeof signed === 'string') return signed;
    if (signed !== wants) return 'not-on-offer';
    this.pass(now);
    if (this.underWay.some(({ id, to }) => id === host.id && to === wants)) return 'go';
    this.forgetUnderWay(host.id);
    if (this.braked !== 'no') return 'braked';
    if (this.failed.some(({ id, doubt }) => id === host.id && doubt === 'no')) return 'failed-here';
    if (this.underWay.length >= this.terms.inFlight) return 'full';
    this.forget(host.id);
    this.underWay.push({ id: host.id, to: wants, due: now + this.terms.patience });
    return 'go';
  }

  private isStep(release: number): boolean {
    const { terms } = this;
    return [terms.release, ...terms.barriers, ...Object.values(terms.pins)].includes(release);
  }

  private brakeIfDue(): void {
    if (this.braked === 'no' && this.failed.length > this.terms.failures) this.braked = 'by failures';
  }

  private forgetUnderWay(id: string): void {
    const at = this.underWay.findIndex((one) => one.id === id);
    if (at >= 0) this.underWay.splice(at, 1);
  }

  private forget(id: string): void {
    this.forgetUnderWay(id);
    this.failed = this.failed.filter((one) => one.id !== id);
    this.again.delete(id);
  }
}
