/** What is shown of the settings that the fleet gives a host. Pure. */

import type { Status } from '../../protocol.ts';
import { relative } from '../units.ts';
import type { Obstacle } from './obstacle.ts';

/** For a status: whence they are, what waits, and what is wrong. */
export function settingsLines({ settings }: Pick<Status, 'settings'>, now: Date): string[] {
  if (!settings) return [];
  const { readAt, error, pending, faults } = settings;
  const read = readAt === undefined ? 'of etcd, as kept on disk' : `of etcd, read ${relative(readAt, now)}`;
  return [
    `  settings   ${read}${error ? `; now ${error.message} [${error.code}]` : ''}`,
    ...(pending.length > 0 ? [`             when the agent starts: ${pending.join(', ')}`] : []),
    ...faults.map(({ code, message }) => `             ${message} [${code}]`),
  ];
}

/** For an explanation: no reason to stay, but perhaps why something else is. */
export function settingsObstacles({ settings }: Pick<Status, 'settings'>): Obstacle[] {
  if (!settings) return [];
  const { error, faults } = settings;
  const unread = error && {
    what: 'setting' as const,
    code: error.code,
    reason: `the settings of the fleet cannot be read: ${error.message.replace(/\.$/, '')}`,
    since: error.at,
  };
  const wrong = faults.map(({ code, message }) => ({
    what: 'setting' as const,
    code,
    reason: message.replace(/\.$/, ''),
    command: 'updatectl config show',
  }));
  return [...(unread ? [unread] : []), ...wrong];
}
