/** Whether hosts with the same tree can be distinguished, and releases too. */

import { osReleaseValue } from '../../../formats/pe.ts';
import type { FileTree } from '../../../system/disk/file-tree.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';
import type { TreeWorld } from './world.ts';

export async function imageVersion({ tree, with: { version } }: TreeWorld): Promise<Finding> {
  const text = await osRelease(tree);
  if (text === undefined)
    return fail('/etc/os-release is missing.', `Create it with a line IMAGE_VERSION=${version ?? '1.0'}.`);
  const found = osReleaseValue(text, 'IMAGE_VERSION');
  if (found === undefined || found === '')
    return warn(
      '/etc/os-release has no IMAGE_VERSION, so two releases may have the same root hash.',
      `Add the line IMAGE_VERSION=${version ?? '1.0'}.`,
    );
  if (version !== undefined && found !== version)
    return warn(
      `/etc/os-release says IMAGE_VERSION=${found}, but the release is ${version}.`,
      `Change the line to IMAGE_VERSION=${version}.`,
    );
  return ok(`IMAGE_VERSION is ${found}.`);
}

const MOST_BYTES = 64 * 1024;

async function osRelease(tree: FileTree): Promise<string | undefined> {
  for (const path of ['/etc/os-release', '/usr/lib/os-release']) {
    const bytes = await tree.readHead(path, MOST_BYTES);
    if (bytes) return new TextDecoder().decode(bytes);
  }
  return undefined;
}

/** What each state of /etc/machine-id means on a read-only root: machine-id(5), and docs/host-data.md. */
export async function machineId({ tree, units, with: { commandLine = '' } }: TreeWorld): Promise<Finding | undefined> {
  if (/(^|\s)systemd\.machine_id=(firmware|[0-9a-f]{32})/.test(commandLine))
    return ok('The kernel command line sets it.');
  const entry = await tree.entry(MACHINE_ID);
  if (!entry) return MACHINE_IDS.missing;
  if (entry.kind !== 'file') return MACHINE_IDS.strange;
  const text = new TextDecoder().decode(await tree.readHead(MACHINE_ID, 256)).trim();
  if (text === 'uninitialized') return MACHINE_IDS.uninitialized;
  if (text !== '') return /^[0-9a-f]{32}$/.test(text) && !/^0*$/.test(text) ? MACHINE_IDS.fixed : MACHINE_IDS.invalid;
  if (!(await units.isEnabled('tandem-machine-id.service'))) return undefined;
  const keeper = await tree.find(KEEPER);
  const isRunnable = keeper?.kind === 'file' && (keeper.mode & 0o111) !== 0;
  return isRunnable ? ok('Each host makes its own at its first start, and keeps it on /var.') : MACHINE_IDS.keeperless;
}

const MACHINE_ID = '/etc/machine-id';
const KEEPER = '/usr/lib/tandem/tandem-machine-id';
const EMPTY_IT = 'Put an empty file there: docs/host-data.md.';

const MACHINE_IDS = {
  missing: fail('/etc/machine-id is missing: with a read-only root, the system does not start.', EMPTY_IT),
  strange: fail('/etc/machine-id is not a file: systemd reads it before anything else is mounted.', EMPTY_IT),
  uninitialized: warn('/etc/machine-id says “uninitialized”: every start is a first start.', EMPTY_IT),
  fixed: warn('/etc/machine-id holds an ID: all hosts with this image are one host to the fleet.', EMPTY_IT),
  invalid: fail('/etc/machine-id holds no valid ID.', EMPTY_IT),
  keeperless: fail(
    `${KEEPER} is missing or not executable, so no host keeps its ID.`,
    'Install the package tandem in the tree.',
  ),
} as const;

export async function hostKeys({ tree }: TreeWorld): Promise<Finding> {
  const [key] = (await tree.list('/etc/ssh')).filter((name) => /^ssh_host_.*_key$/.test(name));
  if (key === undefined) return ok('No SSH host key is in the image.');
  return warn(
    `/etc/ssh/${key} is the same on every host, and everyone who has the image knows it.`,
    'Remove it; let each host make its own keys below /var.',
  );
}

/** The group must be there already: nothing can add it to a read-only /etc. */
export async function group({ tree }: TreeWorld): Promise<Finding> {
  // The second, where the image has nss-altfiles.
  for (const path of ['/etc/group', '/usr/lib/group']) {
    const bytes = await tree.readHead(path, 4 * 1024 * 1024);
    if (/^tandem:/m.test(new TextDecoder().decode(bytes))) return ok(`${path} has the group tandem.`);
  }
  return fail(
    '/etc/group has no group tandem, and a read-only /etc cannot get one: the agent would not start.',
    'Run `systemd-sysusers --root=TREE` after the files of Tandem are in it.',
  );
}
