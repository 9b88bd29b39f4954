/** An etcd in memory that holds settings, and a clock that stands still until it is told to go on. */

import { setImmediate } from 'node:timers/promises';
import { UpdateError } from '../../src/errors.ts';
import { type Clock, realClock } from '../../src/system/clock.ts';
import type { Etcd } from '../../src/system/etcd/etcd.ts';
import type { Heard } from '../../src/system/etcd/watch.ts';

export class SettingsEtcd implements Pick<Etcd, 'txn' | 'watch'> {
  readonly keys = new Map<string, string>();
  /** The revisions after which somebody has listened. */
  readonly listened: string[] = [];
  reads = 0;
  /** How it fails, when it does. */
  ill: 'nowhere' | 'no watch' | 'silent' | undefined;
  private revision = 1n;
  private listeners: ((heard: Heard) => void)[] = [];

  put(key: string, text: string): void {
    this.keys.set(key, text);
    this.happens('changed');
  }

  delete(key: string): void {
    this.keys.delete(key);
    this.happens('changed');
  }

  compact(): void {
    this.happens('compacted');
  }

  async txn({ ops }: Parameters<Etcd['txn']>[0]): ReturnType<Etcd['txn']> {
    this.reads++;
    if (this.ill === 'silent') return new Promise(() => {});
    if (this.ill === 'nowhere') throw new UpdateError('etcd-unavailable', 'No endpoint of etcd answers.');
    const ranges = ops.map((op) => {
      if (!('before' in op)) throw new Error('only ranges are read');
      const within = [...this.keys].filter(([key]) => key >= op.range && key < op.before).toSorted();
      const pairs = within.map(([key, text]) => ({ key, value: Buffer.from(text), modRevision: '1', lease: '0' }));
      return { pairs: pairs.slice(0, Number(op.limit)), count: pairs.length };
    });
    return { succeeded: true, ranges, revision: String(this.revision) };
  }

  async watch(_prefix: string, revision: string, signal: AbortSignal): Promise<Heard> {
    if (this.ill !== undefined) throw new UpdateError('etcd-unavailable', 'etcd has ended the watch.');
    this.listened.push(revision);
    if (BigInt(revision) < this.revision) return 'changed';
    return new Promise((resolve, reject) => {
      this.listeners.push(resolve);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  }

  private happens(what: Heard): void {
    this.revision++;
    for (const tell of this.listeners.splice(0)) tell(what);
  }
}

export class StoppedClock implements Clock {
  /** How long everybody has asked to sleep. */
  readonly asked: number[] = [];
  private ms = 0;
  private sleepers: { until: number; wake(): void }[] = [];

  now(): Date {
    return new Date(Date.UTC(2026, 10, 23) + this.ms);
  }

  monotonicMs(): number {
    return this.ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.asked.push(ms);
    return new Promise((resolve, reject) => {
      if (signal?.aborted) reject(signal.reason);
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      this.sleepers.push({ until: this.ms + ms, wake: resolve });
    });
  }

  /** Goes on, and wakes whoever has slept long enough. */
  pass(ms: number): void {
    this.ms += ms;
    const due = this.sleepers.filter(({ until }) => until <= this.ms);
    this.sleepers = this.sleepers.filter(({ until }) => until > this.ms);
    for (const { wake } of due) wake();
  }
}

const PATIENCE_MS = 60_000;

/** Until that is so; everything that waits for its turn or for the disk has it meanwhile. */
export async function until(isSo: () => boolean): Promise<void> {
  const since = realClock.monotonicMs();
  while (realClock.monotonicMs() - since < PATIENCE_MS) {
    if (isSo()) return;
    await setImmediate();
  }
  throw new Error('it does not come to that');
}
