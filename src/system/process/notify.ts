/** Notifies the service manager: ready, alive. */

import { cleanLine } from '../../clean-text.ts';
import { UpdateError } from '../../errors.ts';
import type { Exec } from './exec.ts';

export interface Notifier {
  /** The longest interval between calls of `alive`; undefined without a watchdog. */
  readonly aliveEveryMs: number | undefined;
  /** Startup has finished. */
  ready(status: string): Promise<void>;
  /** One line for `systemctl status`. */
  status(status: string): Promise<void>;
  alive(): Promise<void>;
}

/**
 * A notifier for the manager's environment; a no-op without a manager. Node.js has no Unix datagram sockets, so each message is sent by
 * `systemd-notify`: the unit needs `NotifyAccess=all`, and a short-lived process every minute is the price. That program waits until the
 * manager has read the message, so that its sender still exists.
 */
export function createNotifier(
  exec: Exec,
  env: Readonly<{ NOTIFY_SOCKET?: string | undefined; WATCHDOG_USEC?: string | undefined }>,
): Notifier {
  const socket = env.NOTIFY_SOCKET;
  const send = socket ? (args: readonly string[]) => notify(exec, socket, args) : async () => {};
  return {
    aliveEveryMs: socket ? aliveEveryMs(env.WATCHDOG_USEC) : undefined,
    ready: (status) => send(['--ready', `--status=${oneLine(status)}`]),
    status: (status) => send([`--status=${oneLine(status)}`]),
    alive: () => send(['WATCHDOG=1']),
  };
}

// Two messages may be late or lost before the watchdog acts.
const MESSAGES_A_PERIOD = 3;
const TIMEOUT_MS = 10_000;

function aliveEveryMs(watchdogUsec: string | undefined): number | undefined {
  const usec = Number(watchdogUsec ?? '');
  return Number.isSafeInteger(usec) && usec > 0 ? Math.floor(usec / 1000 / MESSAGES_A_PERIOD) : undefined;
}

async function notify(exec: Exec, socket: string, args: readonly string[]): Promise<void> {
  const result = await exec('systemd-notify', args, {
    env: { NOTIFY_SOCKET: socket },
    timeoutMs: TIMEOUT_MS,
    package: 'systemd',
  });
  if (result.exitCode === 0) return;
  throw new UpdateError('tool-failed', `systemd-notify ended with status ${result.exitCode}: ${result.stderr.trim()}`);
}

const oneLine = (status: string): string => cleanLine(status, 256);
