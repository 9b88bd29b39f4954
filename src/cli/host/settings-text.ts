/** The fleet's settings of a host, as people read them. Pure. */

import type { Status } from '../../protocol.ts';
import { relative } from '../units.ts';
import type { Obstacle } from './obstacle.ts';

/** For a status: their source, pending changes and faults. */
export function settingsLines({ settings }: Pick<Status, 'settings'>, now: Date): string[] {
  if (!settings) return [];
  const { readAt, error, pending, faults } = settings;
  const read = readAt === undefined ? 'from etcd, cached on disk' : `from etcd, read ${relative(readAt, now)}`;
  return [
    `  settings   ${read}${error ? `; now ${error.message} [${error.code}]` : ''}`,
    ...(pending.length > 0 ? [`             pending until the agent restarts: ${pending.join(', ')}`] : []),
    ...faults.map(({ code, message }) => `             ${message} [${code}]`),
  ];
}

/** For an explanation: not an obstacle as such, but perhaps the cause of one. */
export function settingsObstacles({ settings }: Pick<Status, 'settings'>): Obstacle[] {
  if (!settings) return [];
  const { error, faults } = settings;
  const unread = error && {
    what: 'setting' as const,
    code: error.code,
    reason: `the fleet settings cannot be read: ${error.message.replace(/\.$/, '')}`,
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
