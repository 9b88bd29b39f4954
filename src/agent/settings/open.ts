/** The fleet settings of this host, if its files name a place in etcd for them. */

import { type Config, type Layers, resolveConfig } from '../../config/config.ts';
import { UpdateError } from '../../errors.ts';
import type { State } from '../../model.ts';
import type { Log } from '../../system/log.ts';
import { readMachineId } from '../../system/machine-id.ts';
import { type LockWorld, openEtcd } from '../gates/open-lock.ts';
import { openJournal } from '../loop/journal.ts';
import { type FleetSettings, openFleetSettings } from './settings.ts';

/** Undefined if there is none. */
export async function fleetSettingsOf(
  layers: Layers,
  world: LockWorld & Readonly<{ log: Log }>,
): Promise<FleetSettings | undefined> {
  const config = resolveConfig(layers.fragments);
  const prefix = config.fleet.settingsPrefix;
  if (prefix === undefined) return undefined;
  const { files, log } = world;
  const { stateDir } = config.agent;
  await files.makeDir(stateDir);
  const { state } = await openJournal(files, stateDir, log).load();
  return openFleetSettings(layers, {
    ...world,
    etcd: await openEtcd(ofEtcd(config), world),
    prefix,
    stateDir,
    machine: await readMachineId(files).catch(() => undefined),
    isBetweenAttempts: isBetweenAttempts(state),
  });
}

/** Not while a release is staged: the lock may already have been taken, which the state on disk does not show. */
const isBetweenAttempts = (state: State): boolean =>
  state.kind === 'idle' || state.kind === 'staging' || (state.kind === 'settling' && state.outcome.result === 'none');

function ofEtcd(config: Config): Config {
  if (config.lock.kind !== 'fleetlock') return config;
  const sentence =
    'fleet.settings_prefix needs etcd, but [lock] has the address, login and certificates of a FleetLock server.';
  throw new UpdateError('config-invalid', sentence);
}
