/** Restarting a guest one way after another. */

import type { Method } from '../../src/model.ts';
import type { Machine } from './machine.ts';

/** Lets the agent restart by this method from now on, and take a release again that it has refused. */
export async function restartBy(machine: Machine, method: Method, version: string): Promise<void> {
  await machine.run(`printf '[reboot]\\nmethod = "${method}"\\n' >/run/tandem/config.d/30-method.toml`);
  await machine.run('systemctl restart tandem-agent.service');
  await machine.attempt(`updatectl forget ${version}`);
}

/** How often the firmware starts in so many tries, the first of them by this method. */
export const startsOf = (tries: number, method: Method): number => (method === 'firmware' ? tries : tries - 1);
