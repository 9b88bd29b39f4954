/** A fleet around one semaphore, without any etcd: hosts ask, die, reboot and come back in whatever order a test wants. */

import {
  begin,
  type Ending,
  emptySemaphore,
  giveBack,
  isRefusal,
  type Member,
  release,
  type Semaphore,
  type Sight,
  setMax,
  take,
} from '../../src/reboot/gates/locks/semaphore.ts';
import { readSemaphore, writeSemaphore } from '../../src/reboot/gates/locks/semaphore-document.ts';

export const NOW = '2026-11-23T07:00:00.000Z';

export const memberOf = (index: number, hardware = ''): Member => ({
  id: index.toString(16).padStart(32, '0'),
  name: `host-${index}`,
  hardware,
});

export class Fleet {
  document: Semaphore;
  /** Who asked, the first one first. */
  queue: string[] = [];
  /** Waiting holders whose host lives. */
  readonly alive = new Set<string>();
  /** Rebooting hosts that are past their deadline. */
  readonly late = new Set<string>();
  /** What the hosts themselves believe. */
  readonly rebooting = new Set<string>();

  constructor(max: number, maxFailures: number) {
    this.document = emptySemaphore(max, maxFailures);
  }

  sight(id: string): Sight {
    const place = this.queue.indexOf(id);
    return {
      gone: (holder) => !this.alive.has(holder.id),
      late: (holder) => this.late.has(holder.id),
      ahead: place === -1 ? this.queue.length : place,
    };
  }

  take(index: number): boolean {
    const me = memberOf(index);
    const ask = { ...me, since: NOW, why: 'update to 2.0', deadlineSeconds: 3600 };
    const before = this.document;
    if (!this.isHolder(me.id) && !this.queue.includes(me.id)) this.queue.push(me.id);
    const result = take(before, ask, this.sight(me.id));
    if (isRefusal(result)) return false;
    if (result !== before) {
      this.alive.add(me.id);
      this.queue = this.queue.filter((id) => id !== me.id);
    }
    this.write(result);
    return true;
  }

  begin(index: number): boolean {
    const me = memberOf(index);
    const next = begin(this.document, me, NOW, this.sight(me.id));
    if (!next) return false;
    this.alive.delete(me.id);
    this.rebooting.add(me.id);
    this.write(next);
    return true;
  }

  giveBack(index: number, ending?: Ending): void {
    const me = memberOf(index);
    this.write(giveBack(this.document, me, ending));
    this.forget(me.id);
  }

  release(index: number): void {
    const me = memberOf(index);
    this.write(release(this.document, me.name) ?? this.document);
    this.forget(me.id);
  }

  die(index: number): void {
    const { id } = memberOf(index);
    this.alive.delete(id);
    this.queue = this.queue.filter((one) => one !== id);
  }

  setMax(max: number): void {
    this.write(setMax(this.document, max));
  }

  isHolder(id: string): boolean {
    return this.document.holders.some((one) => one.id === id && (one.phase === 'rebooting' || this.alive.has(id)));
  }

  private forget(id: string): void {
    this.queue = this.queue.filter((one) => one !== id);
    for (const set of [this.alive, this.late, this.rebooting]) set.delete(id);
  }

  /** Every document goes through its bytes, as it does in etcd. */
  private write(document: Semaphore): void {
    this.document = document === this.document ? document : readSemaphore(writeSemaphore(document), 'the model');
  }
}
