/** `updatectl inhibit`. */

import { loadConfig } from '../../config/config.ts';
import { appLocksDir, lockDuration, placeAppLock } from '../../reboot/gates/app-locks.ts';
import { runInForeground } from '../../system/process/foreground.ts';
import type { Command } from '../command.ts';

export const inhibit: Command = {
  name: 'inhibit',
  summary: 'keep this host from rebooting while a command runs, or for a set time',
  description:
    'The lock ends with the command, and after --for at the latest. `updatectl apply` and the deadline override it. Exits with the command’s exit status.',
  examples: [
    'updatectl inhibit --owner backup --reason "nightly dump" --for 2h -- pg_dumpall -f /srv/dump.sql',
    'updatectl inhibit --owner ana --reason "debugging the disk" --for 30m',
  ],
  arguments: [{ name: '[command...]', summary: 'the command to protect, after --' }],
  options: [
    { flags: '--owner <name>', summary: 'who holds the lock', required: true },
    { flags: '--reason <text>', summary: 'why', required: true },
    { flags: '--for <duration>', summary: 'maximum duration, such as 90m, 2h or 1d; up to 7d', required: true },
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
      out.line(`This host will not reboot on its own before ${lock.until}.`);
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
