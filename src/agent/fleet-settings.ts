/** The settings of the fleet while the agent runs: read from etcd and watched, kept on disk, laid below the files of this host. */

import { type Config, explainConfig, type Layers, resolveConfig } from '../config.ts';
import { type FleetFault, type FleetSetting, readFleet } from '../config-fleet.ts';
import { writeFleetCache } from '../config-fleet-cache.ts';
import { isHeardAtStart } from '../config-fleet-keys.ts';
import { asUpdateError } from '../errors.ts';
import type { Failure, SettingsStatus } from '../protocol.ts';
import type { Clock } from '../system/clock.ts';
import type { Etcd } from '../system/etcd.ts';
import type { Files } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import type { Random } from '../system/random.ts';
import { readFleetDocuments } from './fleet-documents.ts';
import { followFleet } from './fleet-watch.ts';

export interface FleetSettings {
  /** What the agent is started with. */
  readonly config: Config;
  /** What counts now, where the agent heeds it at once. */
  current(): Config;
  /** Aborted when that changes; each time there is another. */
  changed(): AbortSignal;
  status(): SettingsStatus;
  /** Reads and watches until the signal; never throws. */
  follow(signal: AbortSignal): Promise<void>;
}

export type FleetSettingsWorld = Readonly<{
  etcd: Pick<Etcd, 'txn' | 'watch'>;
  prefix: string;
  stateDir: string;
  machine: string | undefined;
  /** No attempt is under way: it must end under the settings with which it was begun, the group of its lock above all. */
  isBetweenAttempts: boolean;
  files: Files;
  clock: Clock;
  random: Random;
  log: Log;
  signal: AbortSignal;
}>;

/** Asks etcd, but does not wait long for it: what was kept on disk is as good. */
export async function openFleetSettings(layers: Layers, world: FleetSettingsWorld): Promise<FleetSettings> {
  const { etcd, prefix, machine, clock, log, signal } = world;
  let latest = layers.cache?.latest ?? [];
  let started = layers.cache?.started ?? [];
  let current = resolveConfig(layers.fragments, latest);
  let faults = layers.faults;
  let changed = new AbortController();
  let readAt: string | undefined;
  let error: Failure | undefined;
  for (const one of faults) log.warn({ code: one.code }, one.message);

  let isKept = true;
  const keep = async (): Promise<void> => {
    const cache = { prefix, savedAt: clock.now().toISOString(), latest, started };
    isKept = await writeFleetCache(world.files, world.stateDir, cache).then(
      () => true,
      (failure: unknown) => {
        log.warn({ code: asUpdateError(failure).code }, 'the settings of the fleet cannot be kept on disk');
        return false;
      },
    );
  };

  const take = async (settings: readonly FleetSetting[], found: readonly FleetFault[]): Promise<void> => {
    [readAt, error] = [clock.now().toISOString(), undefined];
    for (const { code, message } of found)
      if (!faults.some((one) => one.message === message)) log.warn({ code }, message);
    faults = found;
    if (isSame(settings, latest)) return isKept ? undefined : keep();
    latest = settings;
    current = resolveConfig(layers.fragments, latest);
    log.info({ settings: settings.length }, 'the fleet has other settings');
    await keep();
    const told = changed;
    changed = new AbortController();
    told.abort();
  };

  /** Returns the revision at which it was read. */
  const readOnce = async (group = current.host.group, isAgain = false): Promise<string> => {
    const { documents, faults: odd, revision } = await readFleetDocuments(etcd, { prefix, group, machine });
    const { settings, faults: wrong } = readFleet(documents, latest);
    const said = resolveConfig(layers.fragments, settings).host.group;
    // What its group is, a group cannot say: the second time it is right.
    if (said !== group && !isAgain) return readOnce(said, true);
    await take(settings, [...odd, ...wrong].slice(0, MOST_FAULTS));
    return revision;
  };

  let turn: Promise<unknown> = Promise.resolve();
  /** One after the other: the first may still be waiting for etcd when the agent starts. */
  const read = (): Promise<string> => {
    const next = turn.then(() => readOnce());
    turn = next.catch(() => {});
    return next;
  };

  const failed = (failure: unknown): void => {
    const { code, message, entry } = asUpdateError(failure);
    if (error?.code !== code) log.warn({ code }, message);
    error = { code, message, next: entry.next, at: clock.now().toISOString() };
  };

  await withinPatience(
    read().then(() => undefined, failed),
    world,
  );
  if (world.isBetweenAttempts && !isSame(latest, started)) {
    started = latest;
    await keep();
  }
  const inForce = resolveConfig(layers.fragments, started);

  return {
    config: inForce,
    current: () => current,
    changed: () => changed.signal,
    status: () => ({
      prefix,
      ...(readAt === undefined ? {} : { readAt }),
      faults,
      pending: differing(layers, latest, started).filter(isHeardAtStart),
      ...(error ? { error } : {}),
    }),
    follow: (stop) => followFleet({ ...world, read, failed }, AbortSignal.any([signal, stop])),
  };
}

const START_MS = 10_000;
const MOST_FAULTS = 32;

async function withinPatience(work: Promise<void>, { clock, signal }: FleetSettingsWorld): Promise<void> {
  const over = new AbortController();
  const patience = clock.sleep(START_MS, AbortSignal.any([signal, over.signal])).catch(() => {});
  await Promise.race([work, patience]);
  over.abort();
}

/** The keys whose values are not the same. */
function differing({ fragments }: Layers, one: readonly FleetSetting[], other: readonly FleetSetting[]): string[] {
  const values = new Map(explainConfig(fragments, other).map(({ path, value }) => [path, value]));
  return explainConfig(fragments, one)
    .filter(({ path, value }) => !isSame(value, values.get(path)))
    .map(({ path }) => path);
}

const isSame = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);
