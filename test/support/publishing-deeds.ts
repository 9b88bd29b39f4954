/** What publishers do to one repository at the same time, how slowly, and at which step they die. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Version } from '../../src/model.ts';
import type { Files } from '../../src/system/files.ts';
import type { takeLock } from '../../src/system/process/lock-file.ts';
import { promote } from '../../src/verify/publish/channels.ts';
import type { Alone, Publisher } from '../../src/verify/publish/publish.ts';
import { addBundle, refreshRepository } from '../../src/verify/publish/publisher.ts';
import { facts, oneChunk, quickFiles } from './tuf-repository.ts';

/** `which` chooses among releases and channels; `dies` is how many changes are made before the end. */
export type Deed = Readonly<{ what: 'promote' | 'add' | 'refresh'; which: number; dies: number; speed: number }>;

export const channelOf = ({ which }: Pick<Deed, 'which'>): string => ['stable', 'edge'][which % 2] ?? 'stable';
/** The release that is added. */
export const nameOf = ({ which }: Pick<Deed, 'which'>): string => `${3 + (which % 5)}.0`;
/** The release that is offered. */
export const offerOf = ({ which }: Pick<Deed, 'which'>): string => `${1 + (which % 2)}.0`;

export async function perform(deed: Deed, publisher: Publisher, alone: Alone): Promise<void> {
  if (deed.what === 'refresh') return void (await alone(refreshRepository));
  if (deed.what === 'promote') {
    const promotion = { channel: channelOf(deed), version: offerOf(deed) as Version, allowDowngrade: true };
    return void (await alone((one) => promote(one, promotion)));
  }
  const candidate = { bytes: oneChunk(`bundle ${nameOf(deed)}`), check: async () => facts(nameOf(deed)) };
  await addBundle(publisher, candidate, alone);
}

/** Files on which everything takes its time, and on which somebody dies after so many changes. */
export function slowFiles({ speed, dies }: Pick<Deed, 'speed' | 'dies'>, die: () => Promise<never>): Files {
  let [turns, done] = [0, 0];
  const slowly = async <T>(work: () => Promise<T>, isChange = true): Promise<T> => {
    for (let turn = (turns++ * 7) % speed; turn > 0; turn--) await new Promise(setImmediate);
    if (isChange && done++ >= dies) await die();
    return work();
  };
  return {
    read: (path) => slowly(() => quickFiles.read(path), false),
    list: (dir) => slowly(() => quickFiles.list(dir), false),
    makeDir: (dir) => slowly(() => quickFiles.makeDir(dir)),
    write: (path, chunks) => slowly(() => quickFiles.write(path, chunks)),
    syncFile: (path) => slowly(() => quickFiles.syncFile(path)),
    rename: (from, to) => slowly(() => quickFiles.rename(from, to)),
    remove: (path) => slowly(() => quickFiles.remove(path)),
    syncDir: (dir) => slowly(() => quickFiles.syncDir(dir)),
  };
}

export type Lock = typeof takeLock;

/** Waits until nobody else holds the lock. */
export async function taken(take: Lock, path: string): Promise<AsyncDisposable> {
  for (;;) {
    const lock = await take(path);
    if (!('heldBy' in lock)) return lock;
    await sleep(10);
  }
}
