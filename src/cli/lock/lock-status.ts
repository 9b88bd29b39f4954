/** `lock status`: the holders of the reboot lock, since when and why, and the hosts waiting for it. */

import type { LockView } from '../../reboot/gates/locks/etcd-operator.ts';
import type { Command } from '../command.ts';
import { LOCK_OPTIONS, lockDesk } from './lock-desk.ts';

export const lockStatus: Command = {
  name: 'lock status',
  summary: 'show the holders of the reboot lock, and the hosts waiting for it',
  description: 'Asks etcd directly, with the login of this host or of the command line, or a fleet server.',
  examples: [
    'updatectl lock status',
    'updatectl lock status --endpoint https://etcd1:2379 --group web --json',
    'updatectl lock status --server https://updates.example --token-file viewer.token --group web',
  ],
  options: LOCK_OPTIONS,
  run: async (context, input) => {
    const desk = await lockDesk(context, input);
    const { group } = desk;
    const view = await desk.view();
    context.out.document(view ?? { schema: 1, group, max: null });
    if (!view) context.out.line(`No host of group ${group} has asked for the reboot lock yet.`);
    else
      show(
        view,
        (line) => context.out.line(line),
        (rows) => context.out.table(rows),
      );
    return undefined;
  },
};

function show(view: LockView, line: (text: string) => void, table: (rows: string[][]) => void): void {
  const { group, max, maxFailures, free, holders, failures, queue, queued } = view;
  line(`Reboot lock of group ${group}: ${max} at once, ${free} free; more than ${maxFailures} failures stop it.`);
  const alarms = failures.length + holders.filter(({ late }) => late).length;
  if (alarms > maxFailures) line(`STOPPED: ${alarms} failed or did not come back.`);
  const rows = [
    ...holders.map((one) => [one.name, one.late ? 'OVERDUE' : one.phase, one.since, one.why]),
    ...failures.map((one) => [one.name, 'FAILED', one.since, one.why]),
    ...queue.map((one) => [one.name, 'queued', one.since, '']),
  ];
  if (rows.length > 0) table([['HOST', 'STATE', 'SINCE', 'WHY'], ...rows]);
  if (queued > queue.length) line(`… and ${queued - queue.length} more in the queue`);
}
