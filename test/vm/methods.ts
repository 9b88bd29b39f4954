/** Restarting a guest one way after another, and what it says of the way it came. */

import type { Method } from '../../src/model.ts';
import type { HistoryReply } from '../../src/protocol.ts';
import type { Machine } from './machine.ts';

/** Lets the agent restart by this method from now on, and take a release again that it has refused. */
export async function restartBy(machine: Machine, method: Method, version: string): Promise<void> {
  await machine.run(`printf '[reboot]\\nmethod = "${method}"\\n' >/run/tandem/config.d/30-method.toml`);
  await machine.run('systemctl restart tandem-agent.service');
  await machine.attempt(`updatectl forget ${version}`);
}

/** How often the firmware starts in so many tries, the first of them by this method. */
export const startsOf = (tries: number, method: Method): number => (method === 'firmware' ? tries : tries - 1);

export type Way = Readonly<{
  result: string;
  code: string | undefined;
  method: Method | undefined;
  clock: string | undefined;
}>;

/** What the agent remembers of its attempts, the last one first. */
export async function attempts(machine: Machine): Promise<readonly Way[]> {
  const { entries } = JSON.parse(await machine.run('updatectl history --json')) as HistoryReply;
  return entries.map(({ result, code, method, downtime }) => ({ result, code, method, clock: downtime?.clock }));
}

export type System = Readonly<{ bootId: string; uptimeS: number; var: string }>;

/** Which kernel runs, and on which file system below /var. */
export async function systemOf(machine: Machine): Promise<System> {
  const said = await machine.run('cat /proc/sys/kernel/random/boot_id /proc/uptime; stat -c %d /var/lib');
  const [bootId = '', uptime = '', device = ''] = said.trim().split('\n');
  return { bootId, uptimeS: Number.parseFloat(uptime), var: device };
}
