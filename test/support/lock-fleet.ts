/** Many hosts in one process that update one after the other through the lock in a real etcd, while a test breaks things. */

import { setImmediate } from 'node:timers/promises';
import { keysOf } from '../../src/reboot/gates/locks/etcd-room.ts';
import type { LockClient } from '../../src/reboot/gates/locks/lock-client.ts';
import type { LockHolder } from '../../src/reboot/gates/locks/semaphore.ts';
import { readSemaphore } from '../../src/reboot/gates/locks/semaphore-document.ts';
import { realClock } from '../../src/system/clock.ts';
import { etcdOf, type HostOptions, lockOf } from './lock-hosts.ts';

export type FleetReport = Readonly<{
  /** How often it was looked at who reboots, and how many did at most: as the hosts themselves know it. */
  samples: number;
  most: number;
  /** The same as the document says it. */
  readings: number;
  mostWritten: number;
  /** From a slot that is given back to the next host that has it. */
  waitsMs: readonly number[];
  /** Answers that no endpoint gave, and locks that were lost before the reboot: each is tried again. */
  outages: number;
  lost: number;
}>;

export type Drive = Readonly<{
  hosts: number;
  options: HostOptions;
  rebootMs: number;
  /** A host that is started anew in the middle, with nothing in memory; of a hundred steps, how many. */
  restarts: number;
  /** Called with how many hosts are done. */
  progress?(done: number): void;
}>;

/** Until every host has updated once. */
export async function driveFleet({ hosts, options, rebootMs, restarts, progress }: Drive): Promise<FleetReport> {
  const rebooting = new Set<number>();
  const counts = { samples: 0, most: 0, readings: 0, mostWritten: 0, outages: 0, lost: 0, done: 0 };
  const waitsMs: number[] = [];
  let freedAt: number | undefined;
  const sample = (): void => {
    counts.samples++;
    counts.most = Math.max(counts.most, rebooting.size);
  };

  const update = async (index: number): Promise<void> => {
    let lock = lockOf(index, options);
    let step = index;
    /** As an agent does it: what fails is tried again for ever, possibly by a new process. */
    const insist = async <T>(deed: (lock: LockClient) => Promise<T>, again: () => Promise<void>): Promise<T> => {
      for (;;) {
        if (++step % 100 < restarts) lock = lockOf(index, options);
        const result = await deed(lock).catch((error: unknown) => outage(error));
        if (result !== undefined) return result;
        await again();
      }
    };
    const outage = (error: unknown): undefined => {
      if (!(error instanceof Error && 'code' in error)) throw error;
      if (error.code === 'lock-lost') counts.lost++;
      else if (error.code === 'etcd-unavailable' || error.code === 'lock-contended') counts.outages++;
      else throw error;
    };
    const pause = (): Promise<void> => realClock.sleep(50 + Math.random() * 200);
    for (let left = false; !left; ) {
      let askAgainMs = 0;
      await insist(
        async (one) => {
          const answer = await one.take(`update of host ${index}`);
          if (answer.ok) return true;
          askAgainMs = answer.askAgainMs;
          return undefined;
        },
        () => realClock.sleep(askAgainMs),
      );
      if (freedAt !== undefined) waitsMs.push(performance.now() - freedAt);
      freedAt = undefined;
      left = await lock.begin().then(
        () => true,
        (error: unknown) => outage(error) ?? false,
      );
    }
    rebooting.add(index);
    sample();
    await realClock.sleep(rebootMs);
    sample();
    rebooting.delete(index);
    await insist((one) => one.giveBack({}).then(() => true), pause);
    freedAt ??= performance.now();
    progress?.(++counts.done);
  };

  let isOver = false;
  const watch = async (): Promise<void> => {
    const etcd = etcdOf({ endpoints: options.endpoints });
    const key = keysOf(options.group ?? 'default').semaphore;
    while (!isOver) {
      sample();
      const answer = await etcd.txn({ ops: [{ range: key }] }).catch(() => undefined);
      const [pair] = answer?.ranges[0]?.pairs ?? [];
      if (pair) {
        const { holders } = readSemaphore(pair.value, key);
        counts.readings++;
        counts.mostWritten = Math.max(counts.mostWritten, holders.filter(isRebooting).length);
        if (holders.some(({ name, since, why }) => !name || !since || !why)) throw new Error('a holder without a name');
      }
      await setImmediate();
    }
  };
  const watching = watch();
  await Promise.all(Array.from({ length: hosts }, (_, index) => update(index)));
  isOver = true;
  await watching;
  return { ...counts, waitsMs };
}

const isRebooting = ({ phase }: LockHolder): boolean => phase === 'rebooting';

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
