/** The daemon: runs the agent, its socket and its watchdog until its signal is aborted. */

import { join } from 'node:path';
import { type Layers, resolveConfig } from '../config/config.ts';
import { UpdateError } from '../errors.ts';
import { PROTOCOL, PROTOCOL_HEADER } from '../protocol.ts';
import { keptFiles } from '../system/kept-files.ts';
import { serveControl } from '../system/process/control-socket.ts';
import { takeLock } from '../system/process/lock-file.ts';
import { createNotifier, type Notifier } from '../system/process/notify.ts';
import { assembleAgent } from './assemble.ts';
import { answer } from './control.ts';
import { runLoop } from './loop/loop.ts';
import { undoLeftOver } from './restart/restart.ts';
import { restingLoop, untilOutdated } from './settings/live.ts';
import { fleetSettingsOf } from './settings/open.ts';
import type { Surroundings } from './surroundings.ts';

/** Runs until the signal is aborted, or until a restart is due. */
export async function runAgent(
  layers: Layers,
  surroundings: Surroundings,
  env: (name: string) => string | undefined,
): Promise<void> {
  const over = new AbortController();
  const { stateDir, runtimeDir } = resolveConfig(layers.fragments).agent;
  const folders = [stateDir, join(stateDir, 'metadata'), join(stateDir, 'delta'), runtimeDir];
  const world = {
    ...surroundings,
    files: keptFiles(surroundings.files, folders, surroundings.log),
    signal: AbortSignal.any([surroundings.signal, over.signal]),
  };
  const notifier = createNotifier(world.exec, {
    NOTIFY_SOCKET: env('NOTIFY_SOCKET'),
    WATCHDOG_USEC: env('WATCHDOG_USEC'),
  });
  await using _only = await onlyAgent(world.files, runtimeDir);
  // If the start fails, work already begun must not keep the process alive.
  using _over = { [Symbol.dispose]: () => over.abort() };
  const settings = await fleetSettingsOf(layers, world);
  const config = settings?.config ?? resolveConfig(layers.fragments);
  const agent = await assembleAgent(config, { ...world, ...(settings ? { settings } : {}) });
  const path = join(config.agent.runtimeDir, 'control.sock');
  const headers = { [PROTOCOL_HEADER]: String(PROTOCOL) };
  await using _socket = await serveControl({ path, group: GROUP, headers }, (request) => answer(agent.view, request));
  await notifier.ready('watching for updates');
  const loop = restingLoop(agent.loop);
  const following = settings && [
    settings.follow(world.signal),
    untilOutdated(settings, loop, world).finally(() => over.abort()),
  ];
  // Only once we are ready: the unit that undoes it is ordered after ours.
  const looping = undoLeftOver(loop).then(() => runLoop(loop, world.signal));
  await Promise.all([looping, staysAlive(notifier, world), ...(following ?? [])]);
}

const GROUP = 'tandem';

/** Taken before any of the agent's files is read or written: of two agents started at the same moment, one continues. */
async function onlyAgent(files: Surroundings['files'], runtimeDir: string): Promise<AsyncDisposable> {
  await files.makeDir(runtimeDir);
  const path = join(runtimeDir, 'agent.lock');
  const lock = await takeLock(path);
  if (!('heldBy' in lock)) return lock;
  throw new UpdateError('already-running', `Another agent is running: ${lock.heldBy} holds ${path}.`);
}

/** All waiting in this process is asynchronous, so a loop that is stuck for good stops the pings. */
async function staysAlive(notifier: Notifier, { clock, signal, log }: Surroundings): Promise<void> {
  const every = notifier.aliveEveryMs;
  while (every !== undefined && !signal.aborted) {
    await notifier
      .alive()
      .catch((error: unknown) => log.warn({ err: String(error) }, 'the watchdog could not be notified'));
    await clock.sleep(every, signal).catch(() => {});
  }
}
