/** The fleet settings while the agent runs: read from etcd and watched, cached on disk, overridden by the files of this host. */

import { type Config, explainConfig, type Layers, resolveConfig } from '../../config/config.ts';
import { type FleetFault, type FleetSetting, readFleet } from '../../config/fleet.ts';
import { writeFleetCache } from '../../config/fleet-cache.ts';
import { appliesAtStart } from '../../config/fleet-rules.ts';
import { asUpdateError } from '../../errors.ts';
import type { Failure, SettingsStatus } from '../../protocol.ts';
import type { Clock } from '../../system/clock.ts';
import type { Etcd } from '../../system/etcd/etcd.ts';
import type { Files } from '../../system/files.ts';
import type { Log } from '../../system/log.ts';
import type { Random } from '../../system/random.ts';
import { readFleetDocuments } from './documents.ts';
import { followFleet } from './watch.ts';

export interface FleetSettings {
  /** The settings that the agent starts with. */
  readonly config: Config;
  /** The current settings, for keys that apply at once. */
  current(): Config;
  /** Aborted when they change; each change creates another. */
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
  /** No attempt is under way: an attempt must end with the settings that it began with, above all the group of its lock. */
  isBetweenAttempts: boolean;
  files: Files;
  clock: Clock;
  random: Random;
  log: Log;
  signal: AbortSignal;
}>;

/** Asks etcd, but does not wait long: the copy on disk is good enough. */
export async function openFleetSettings(layers: Layers, world: FleetSettingsWorld): Promise<FleetSettings> {
  const { prefix, log, signal } = world;
  for (const one of layers.faults) log.warn({ code: one.code }, one.message);
  const known = createKnown(layers, world);
  const read = oneAfterTheOther(() => readSettings(layers, world, known));
  await withinPatience(
    read().then(() => undefined, known.failed),
    world,
  );
  const started = world.isBetweenAttempts ? await known.start() : known.started();
  return {
    config: resolveConfig(layers.fragments, started),
    current: known.config,
    changed: known.changed,
    status: () => ({
      prefix,
      ...known.status(),
      pending: differing(layers, known.latest(), started).filter(appliesAtStart),
    }),
    follow: (stop) => followFleet({ ...world, read, failed: known.failed }, AbortSignal.any([signal, stop])),
  };
}

type Settings = readonly FleetSetting[];
type Known = ReturnType<typeof createKnown>;

/** The known settings, in memory and on disk. */
function createKnown(layers: Layers, world: FleetSettingsWorld) {
  const { clock, log } = world;
  let latest: Settings = layers.cache?.latest ?? [];
  let started: Settings = layers.cache?.started ?? [];
  let config = resolveConfig(layers.fragments, latest);
  let faults = layers.faults;
  let changed = new AbortController();
  let readAt: string | undefined;
  let error: Failure | undefined;
  let isKept = true;

  const keep = async (): Promise<void> => {
    isKept = await isWritten(world, latest, started);
  };
  const change = async (settings: Settings): Promise<void> => {
    latest = settings;
    config = resolveConfig(layers.fragments, latest);
    log.info({ settings: settings.length }, 'the fleet settings have changed');
    await keep();
    const told = changed;
    changed = new AbortController();
    told.abort();
  };

  return {
    latest: () => latest,
    started: () => started,
    config: () => config,
    changed: () => changed.signal,
    take: async (settings: Settings, found: readonly FleetFault[]): Promise<void> => {
      [readAt, error] = [clock.now().toISOString(), undefined];
      for (const { code, message } of found)
        if (!faults.some((one) => one.message === message)) log.warn({ code }, message);
      faults = found;
      if (!isSame(settings, latest)) await change(settings);
      else if (!isKept) await keep();
    },
    /** The agent starts with the latest; returns them. */
    start: async (): Promise<Settings> => {
      if (isSame(latest, started)) return started;
      started = latest;
      await keep();
      return started;
    },
    failed: (failure: unknown): void => {
      const { code, message, entry } = asUpdateError(failure);
      if (error?.code !== code) log.warn({ code }, message);
      error = { code, message, next: entry.next, at: clock.now().toISOString() };
    },
    status: () => ({ ...(readAt === undefined ? {} : { readAt }), faults, ...(error ? { error } : {}) }),
  };
}

async function isWritten(world: FleetSettingsWorld, latest: Settings, started: Settings): Promise<boolean> {
  const { prefix, clock, files, stateDir, log } = world;
  const cache = { prefix, savedAt: clock.now().toISOString(), latest, started };
  try {
    await writeFleetCache(files, stateDir, cache);
    return true;
  } catch (error) {
    log.warn({ code: asUpdateError(error).code }, 'the fleet settings cannot be cached on disk');
    return false;
  }
}

/** Returns the revision of the read. */
async function readSettings(
  layers: Layers,
  world: FleetSettingsWorld,
  known: Known,
  group = known.config().host.group,
  isAgain = false,
): Promise<string> {
  const { etcd, prefix, machine } = world;
  const { documents, faults: odd, revision } = await readFleetDocuments(etcd, { prefix, group, machine });
  const { settings, faults: wrong } = readFleet(documents, known.latest());
  const said = resolveConfig(layers.fragments, settings).host.group;
  // A group's settings cannot change the group itself, so the second read is right.
  if (said !== group && !isAgain) return readSettings(layers, world, known, said, true);
  await known.take(settings, [...odd, ...wrong].slice(0, MOST_FAULTS));
  return revision;
}

/** The first may still be waiting for etcd when the agent starts. */
function oneAfterTheOther<T>(work: () => Promise<T>): () => Promise<T> {
  let turn: Promise<unknown> = Promise.resolve();
  return () => {
    const next = turn.then(work);
    turn = next.catch(() => {});
    return next;
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

/** The keys whose values differ. */
function differing({ fragments }: Layers, one: readonly FleetSetting[], other: readonly FleetSetting[]): string[] {
  const values = new Map(explainConfig(fragments, other).map(({ path, value }) => [path, value]));
  return explainConfig(fragments, one)
    .filter(({ path, value }) => !isSame(value, values.get(path)))
    .map(({ path }) => path);
}

const isSame = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);
