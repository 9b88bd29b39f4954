/** Whether the machine ID is this host's own, and the same at every start. */

import { type Finding, fail, ok, warn } from '../finding.ts';
import { mountOf } from '../mount-table.ts';
import { readText } from '../reading.ts';
import type { DoctorWorld } from '../world.ts';

export async function machineId({ files }: DoctorWorld): Promise<Finding> {
  const id = (await readText(files, SHOWN))?.trim() ?? '';
  if (!/^[0-9a-f]{32}$/.test(id) || /^0*$/.test(id)) return fail(`${SHOWN} holds no machine ID.`, MORE);
  if (/(^|\s)systemd\.machine_id=/.test((await readText(files, '/proc/cmdline')) ?? ''))
    return ok('The kernel command line sets it.');
  const mount = await mountOf(files, SHOWN);
  // systemd mounts the ID that it made up for this start over the file.
  if (mount?.path === SHOWN)
    return (await readText(files, KEPT))?.trim() === id ? ok(`Kept in ${KEPT}.`) : NEW_EACH_TIME;
  if (!mount?.readOnly) return ok('This host’s own.');
  return warn('The machine ID comes from the image: all hosts with this image are one host to the fleet.', MORE);
}

const SHOWN = '/etc/machine-id';
const KEPT = '/var/lib/tandem/machine-id';
const MORE = 'Put an empty file into the image: docs/host-data.md.';

const NEW_EACH_TIME = warn(
  'This host gets another machine ID at every start, and is a new host to the fleet each time.',
  'See `systemctl status tandem-machine-id`, and enable it in the image: docs/host-data.md.',
);
