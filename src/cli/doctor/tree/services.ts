/** Whether the units of a tree start: those of Tandem, and those that its hosts depend on. */

import type { FileTree } from '../../../system/disk/file-tree.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';
import { isOurs } from '../host/bless-boot.ts';
import { ENABLED_UNITS, STARTED_UNITS } from '../tandem-units.ts';
import type { TreeUnits } from './unit-files.ts';
import type { TreeWorld } from './world.ts';

export async function tandemUnits({ tree, units }: TreeWorld): Promise<Finding> {
  const all = [...ENABLED_UNITS, ...STARTED_UNITS];
  const masked = await those(all, (name) => units.isMasked(name));
  if (masked.length > 0)
    return fail(`Masked: ${masked.join(', ')}.`, `Remove the link to /dev/null in /etc/systemd/system.`);
  const missing = await those(all, async (name) => (await units.texts(name)) === undefined);
  if (missing.length > 0) return fail(`Missing: ${missing.join(', ')}.`, 'Install the package tandem in the tree.');
  const off = await those(ENABLED_UNITS, async (name) => !(await units.isEnabled(name)));
  if (off.length > 0)
    // A preset does not help: with a read-only /etc, nothing enables a unit at the first start.
    return fail(`Not enabled: ${off.join(', ')}.`, `Run \`systemctl --root=TREE enable ${off.join(' ')}\`.`);
  const target = (await tree.entry('/etc/systemd/system/default.target'))?.target?.split('/').at(-1);
  if (target !== undefined && OTHER_TARGETS.test(target))
    return warn(
      `The system starts ${target}, which does not start the agent.`,
      'Run `systemctl --root=TREE set-default multi-user.target`.',
    );
  const [copy] = await those(all, (name) => isCopy(tree, name));
  if (copy !== undefined)
    return warn(
      `/etc/systemd/system/${copy} replaces the unit that comes with Tandem, also after updates of it.`,
      'Remove the copy; put changes into a drop-in.',
    );
  return ok('All enabled.');
}

const isCopy = async (tree: FileTree, name: string): Promise<boolean> =>
  (await tree.entry(`/etc/systemd/system/${name}`))?.kind === 'file' &&
  (await tree.find(`/usr/lib/systemd/system/${name}`)) !== undefined;

const OTHER_TARGETS = /^(rescue|emergency|halt|poweroff|reboot|exit|kexec|basic|sysinit)\.target$/;

/** systemd-bless-boot would look for the entry of an earlier start, and fail, after a restart that skipped the boot loader. */
export async function blessBoot({ units, config }: TreeWorld): Promise<Finding> {
  const service = 'systemd-bless-boot.service';
  if (config.boot.backend !== 'systemd-boot' || (await units.texts(service)) === undefined)
    return ok('The tree does not use systemd-bless-boot.');
  const dropIns = await units.dropIns(service);
  if (dropIns.some(isOurs)) return ok('The agent confirms the system, not systemd-bless-boot.');
  return warn(
    'systemd-bless-boot.service has no drop-in of Tandem: it fails after a restart that skips the boot loader.',
    `Install systemd/systemd-bless-boot.conf as /usr/lib/systemd/system/${service}.d/10-tandem.conf.`,
  );
}

export async function clock({ units }: TreeWorld): Promise<Finding> {
  const enabled = await running(units, CLOCKS);
  if (enabled !== undefined) return ok(`${enabled} sets the clock.`);
  return warn(
    'No time synchronisation is enabled; the clock decides whether metadata has expired.',
    'Install systemd-timesyncd or chrony in the tree, and enable it.',
  );
}

const CLOCKS = ['systemd-timesyncd', 'chrony', 'chronyd', 'ntpsec', 'ntp', 'ntpd', 'openntpd', 'openntp'];

export async function network({ tree, units, with: { commandLine = '' } }: TreeWorld): Promise<Finding> {
  const enabled = await running(units, NETWORKS);
  const resolver = await tree.entry('/etc/resolv.conf');
  if (enabled === undefined && !/(^|\s)ip=/.test(commandLine))
    return warn(
      'No known service that configures the network is enabled.',
      'Enable systemd-networkd or NetworkManager in the tree, unless your own does it.',
    );
  const isBound = await units.isEnabled('etc-systemd-network.mount');
  if (enabled === 'systemd-networkd.service' && !isBound && !(await hasNetworkFile(tree.list)))
    return warn(
      'systemd-networkd is enabled, but no .network file tells it what to configure.',
      'Put one into /etc/systemd/network.',
    );
  if (!resolver)
    return warn(
      '/etc/resolv.conf is missing, and nothing can create it: names of servers are not found.',
      'Link it: `ln -s /run/systemd/resolve/stub-resolv.conf TREE/etc/resolv.conf`, or to the file of your network service.',
    );
  return ok(enabled === undefined ? 'The kernel configures the network.' : `${enabled} configures the network.`);
}

const NETWORKS = [
  'systemd-networkd',
  'NetworkManager',
  'networking',
  'connman',
  'dhcpcd',
  'wicked',
  'iwd',
  'netplan-configure',
];

/** systemd brings files for containers, virtual machines and special cases, whose names begin with 80 and 89. */
async function hasNetworkFile(list: (dir: string) => Promise<string[]>): Promise<boolean> {
  const own = (await list('/etc/systemd/network')).filter((name) => name.endsWith('.network'));
  const shipped = (await list('/usr/lib/systemd/network')).filter(
    (name) => name.endsWith('.network') && !/^8[09]-/.test(name),
  );
  return own.length + shipped.length > 0;
}

/** The first of these services that is there and starts. */
async function running(units: TreeUnits, names: readonly string[]): Promise<string | undefined> {
  for (const name of names.map((one) => `${one}.service`))
    if ((await units.isEnabled(name)) && (await units.texts(name)) !== undefined) return name;
  return undefined;
}

async function those(names: readonly string[], isOne: (name: string) => Promise<boolean>): Promise<string[]> {
  const found: string[] = [];
  for (const name of names) if (await isOne(name)) found.push(name);
  return found;
}
