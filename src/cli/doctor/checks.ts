/** The conditions for a host to update itself, one read-only check each. */

import type { Config } from '../../config/config.ts';
import { asUpdateError } from '../../errors.ts';
import type { Context } from '../command.ts';
import { bootEntries, hasPriorities, partitions } from './boot.ts';
import { backendFits } from './boot-facts.ts';
import { kernelPartitions } from './esp.ts';
import { etcdHealth } from './etcd.ts';
import { type Finding, fail, unknown } from './finding.ts';
import { fileSystemCheck } from './fsck.ts';
import { blessBoot } from './host/bless-boot.ts';
import { deadMan } from './host/dead-man.ts';
import { machineId } from './host/machine-id.ts';
import { clock, metadata, trustRoot } from './host/metadata.ts';
import { repository } from './host/repository.ts';
import { secretFiles } from './host/secrets.ts';
import { agent, configuration, rootFileSystem, stateDirectory, units } from './host/system.ts';
import { loaderSettings } from './loaders.ts';
import { failedUnitsCheck, healthCheck, hookPrograms } from './programs.ts';
import type { NamedFinding } from './report.ts';
import { restartMethods } from './restart.ts';
import { sandbox } from './sandbox.ts';
import { type DoctorCheck, type DoctorWorld, type Doors, REAL_DOORS } from './world.ts';

export const CHECKS: readonly DoctorCheck[] = [
  {
    name: 'configuration',
    run: configuration,
    meaning: 'All drop-ins are valid, and `host.product` and `repository.url` are set.',
    remedy:
      'Correct the line that the finding names. A warning names a key in `/var/lib/tandem/config.d` that this version does not know.',
  },
  {
    name: 'partitions',
    run: partitions,
    meaning: 'Both slots are on one disk, one of them runs, and nothing of the other is mounted.',
    remedy: 'Compare the partition labels with `slots.*` ([disks](disks.md)).',
  },
  {
    name: 'sandbox',
    run: sandbox,
    meaning: 'The agent’s unit may open the disk of the slots.',
    remedy: 'Add the driver to `DeviceAllow=` ([disks](disks.md)).',
  },
  {
    name: 'root file system',
    run: rootFileSystem,
    meaning: 'The running root is read-only.',
    remedy: 'Add `ro` to the kernel’s command line.',
  },
  {
    name: 'state directory',
    run: stateDirectory,
    meaning: '`/var/lib/tandem` exists, and is writable and on a disk.',
    remedy: 'Mount a partition on `/var`; `systemd-tmpfiles --create` makes the folder.',
  },
  {
    name: 'EFI partition',
    run: kernelPartitions,
    meaning:
      'The partitions of the kernels are mounted, as FAT, writable, with `dirsync` and with room for another kernel.',
    remedy: 'Correct the line in `/etc/fstab` ([boot loaders](boot-loaders.md)).',
  },
  {
    name: 'file system check',
    run: fileSystemCheck,
    meaning: 'They are checked before each mount: pass 2 in `/etc/fstab`, and `fsck.vfat`.',
    remedy: 'Set the last number of the line to 2, and install dosfstools in the image.',
  },
  {
    name: 'boot backend',
    run: ({ files }, config) => backendFits(files, config, () => hasPriorities(config)),
    meaning: 'This machine shows signs of the configured boot loader.',
    remedy: 'Set `boot.backend`.',
  },
  {
    name: 'boot loader',
    run: ({ files }, config) => loaderSettings(files, config),
    meaning: 'The boot loader is set up to count tries and to fall back.',
    remedy: 'See [boot loaders](boot-loaders.md).',
  },
  {
    name: 'boot entries',
    run: bootEntries,
    meaning: 'The running slot starts by default and is proven, and the other slot could start, too.',
    remedy:
      '`updatectl status` shows why not. After the first installation there is no fallback until the next update.',
  },
  {
    name: 'restart',
    run: restartMethods,
    meaning: 'The configured restart methods work here.',
    remedy: 'Install what is missing; until then, restarts go through the firmware.',
  },
  {
    name: 'bless-boot',
    run: blessBoot,
    meaning: '`systemd-bless-boot.service`, if it is there, has the drop-in that leaves confirming to the agent.',
    remedy: 'Add the drop-in to the image.',
  },
  {
    name: 'health',
    run: ({ files }, config) => healthCheck(files, config),
    meaning: 'Every health program can be run, and at least one is required.',
    remedy: 'Set the x bit, correct the first line, or install the interpreter ([health](health.md)).',
  },
  {
    name: 'failed units',
    run: failedUnitsCheck,
    meaning: 'No unit has failed.',
    remedy: '`systemctl status UNIT`. Units that failed before an update do not count against it.',
  },
  {
    name: 'dead man',
    run: deadMan,
    meaning:
      'The script that ends a trial without the agent can run and is unchanged, and its timer runs and leaves a release the time that it is allowed.',
    remedy:
      '`systemctl unmask` and `systemctl start tandem-dead-man.timer`; lengthen `OnActiveSec=`; install the script that comes with Tandem.',
  },
  {
    name: 'pre-reboot',
    run: ({ files }, config) => hookPrograms(files, config),
    meaning: 'Every program in `pre-reboot.d` can be run.',
    remedy: 'As for health programs; otherwise this host does not restart into a release.',
  },
  {
    name: 'machine id',
    run: machineId,
    meaning: 'The machine ID is the host’s own, and the same at every start.',
    remedy: 'See [what belongs to one host](host-data.md).',
  },
  {
    name: 'secrets',
    run: secretFiles,
    meaning:
      'The files with token, password, keys and certificates that the configuration names exist, are not empty, and are private.',
    remedy: 'Put the file there, with mode 600. Without a token, a fleet server that requires one refuses the host.',
  },
  {
    name: 'repository',
    run: repository,
    meaning:
      'The repository answers: its name resolves, the server accepts the connection, its certificate is trusted, and it serves `metadata/timestamp.json`.',
    remedy: 'Follow the finding; [networks](networks.md) explains proxies, mirrors and certificates.',
  },
  {
    name: 'trust root',
    run: trustRoot,
    meaning: '`root.json` is there and does not expire soon.',
    remedy: 'Copy the repository’s `metadata/1.root.json` into the image; sign a newer root.',
  },
  {
    name: 'metadata',
    run: metadata,
    meaning: 'The cached metadata has not expired.',
    remedy: '`updatectl check`. If the repository has nothing newer, its publisher runs `updatectl repo refresh`.',
  },
  {
    name: 'clock',
    run: clock,
    meaning: 'The clock is synchronised, and not behind metadata that was accepted here.',
    remedy: 'Enable systemd-timesyncd or chrony.',
  },
  {
    name: 'units',
    run: units,
    meaning: 'All units of Tandem that start with the system are enabled.',
    remedy: '`systemctl enable` them, in the image if `/etc` is read-only.',
  },
  {
    name: 'etcd',
    run: etcdHealth,
    meaning: 'The members of etcd are healthy and have room, if this host uses etcd.',
    remedy: 'See [locks](locks.md) and [the server](server.md).',
  },
  {
    name: 'agent',
    run: agent,
    meaning: 'The agent runs and has no error.',
    remedy: '`systemctl start tandem-agent`; `updatectl status` shows the error.',
  },
];

/** Runs every check; an error that one throws becomes its finding. */
export async function runChecks(
  context: Context,
  config: Config,
  { readHead, stat, http }: Doors = REAL_DOORS,
): Promise<readonly NamedFinding[]> {
  const world: DoctorWorld = { ...context, files: { ...context.files, readHead }, stat, http };
  const findings: NamedFinding[] = [];
  for (const { name, run } of CHECKS) {
    findings.push({ name, ...(await run(world, config).catch(findingOf)) });
    context.signal.throwIfAborted();
  }
  return findings;
}

function findingOf(error: unknown): Finding {
  const { message, entry, cause } = asUpdateError(error);
  const codes = [error, cause].map((one) => (one instanceof Error && 'code' in one ? one.code : undefined));
  const isDenied = codes.some((code) => code === 'EACCES' || code === 'EPERM') || /EACCES|EPERM/.test(message);
  if (isDenied) return unknown(`Not checked: ${message}`, 'Run it as root.');
  // The first check reports it; this one has nothing to check.
  if (codes.includes('config-invalid'))
    return unknown('Not checked: the configuration has an error.', 'Correct it first; the first check names it.');
  return codes.includes('tool-missing') ? unknown(message, entry.next) : fail(message, entry.next);
}
