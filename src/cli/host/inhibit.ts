/** `updatectl inhibit`. */

import { loadConfig } from '../../config/config.ts';
import { appLocksDir, lockDuration, placeAppLock } from '../../reboot/gates/app-locks.ts';
import { runInForeground } from '../../system/process/foreground.ts';
import type { Command } from '../command.ts';

export const inhibit: Command = {
  name: 'inhibit',
  summary: 'keep this host from rebooting, while a command runs or for a time',
  description:
    'The lock ends with the command, and after --for in any case. `updatectl apply` and the deadline do not wait for it. Ends with the exit status of the command.',
  examples: [
    'updatectl inhibit --owner backup --reason "nightly dump" --for 2h -- pg_dumpall -f /srv/dump.sql',
    'updatectl inhibit --owner ana --reason "debugging the disk" --for 30m',
  ],
  arguments: [{ name: '[command...]', summary: 'what must not be interrupted, after --' }],
  options: [
    { flags: '--owner <name>', summary: 'who holds the lock', required: true },
    { flags: '--reason <text>', summary: 'why', required: true },
    { flags: '--for <duration>', summary: 'how long at most, such as 90m, 2h, 1d; at most 7d', required: true },
  ],
  run: async ({ files, clock, random, signal, out }, input) => {
    const { agent } = await loadConfig(files);
    const [since, until] = [clock.now(), new Date(clock.now().getTime() + lockDuration(input.given('for')))];
    const lock = {
      owner: input.given('owner'),
      reason: input.given('reason'),
      since: since.toISOString(),
      until: until.toISOString(),
    };
    const release = await placeAppLock(files, appLocksDir(agent.runtimeDir), lock, idOf(random.fraction()));
    const [program, ...args] = input.rest(0);
    if (program === undefined) {
      out.line(`This host does not reboot by itself before ${lock.until}.`);
      out.document({ schema: 1, ...lock });
      return undefined;
    }
    try {
      return await runInForeground([program, ...args], signal);
    } finally {
      await release();
    }
  },
};

const idOf = (fraction: number): string =>
  Math.floor(fraction * 2 ** 32)
    .toString(16)
    .padStart(8, '0');
