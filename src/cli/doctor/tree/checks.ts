/** The conditions for a file tree to become hosts that update themselves, one read-only check each. */

import { cleanLine } from '../../../clean-text.ts';
import { asUpdateError } from '../../../errors.ts';
import { type Finding, unknown } from '../finding.ts';
import { bootLoader } from './boot-loader.ts';
import { commandLine } from './command-line.ts';
import { configuration, namedFiles, privateFiles } from './configuration.ts';
import { deadMan, deadMansTimer } from './dead-man.ts';
import { group, hostKeys, imageVersion, machineId } from './identity.ts';
import { initrd } from './initrd.ts';
import { kernelModules } from './kernel.ts';
import { checkedBeforeMount, kernelPartitions, readOnlyEtc, writableFolders } from './mounts.ts';
import { health, hooks, tools } from './programs.ts';
import { agentProgram, libraries, system } from './runtime.ts';
import { blessBoot, clock, network, tandemUnits } from './services.ts';
import { trustRoot } from './trust.ts';
import type { TreeCheck, TreeWorld } from './world.ts';

export const TREE_CHECKS: readonly TreeCheck[] = [
  {
    name: 'system',
    run: system,
    meaning:
      '`/sbin/init` is there, finds its libraries, and fits the architecture of the release; `/proc`, `/sys`, `/dev` and `/run` exist.',
    remedy: 'Install systemd (`systemd-sysv`), and create the empty folders. Without them, nothing starts.',
  },
  {
    name: 'version',
    run: imageVersion,
    meaning: '`/etc/os-release` has `IMAGE_VERSION`, and `bundle build` was given the same version.',
    remedy: 'Write it there in each build: it gives every release its own root hash.',
  },
  {
    name: 'configuration',
    run: configuration,
    meaning:
      'The drop-ins in `/usr` and `/etc` are valid, end in `.toml`, and set `host.product` (that of the release) and `repository.url`.',
    remedy:
      'Correct the line that the finding names. A warning about `repository.url` is harmless if each host gets it elsewhere.',
  },
  {
    name: 'agent',
    run: agentProgram,
    meaning:
      '`/usr/bin/updatectl` and the runtime that it starts are there, executable, and built for the architecture of the tree.',
    remedy: 'Install the package `tandem`, or run `make install`, for that architecture.',
  },
  {
    name: 'libraries',
    run: libraries,
    meaning:
      'The dynamic linker finds every library of the runtime in the tree, new enough for the symbols that it needs.',
    remedy:
      'Install the missing packages; on Debian these are mostly `libatomic1` and `libstdc++6`. An old C library needs a newer distribution.',
  },
  {
    name: 'tools',
    run: tools,
    meaning:
      'The programs that the agent calls are in the tree, also those for the configured boot loader and restart.',
    remedy: 'Install the packages that the finding names.',
  },
  {
    name: 'units',
    run: tandemUnits,
    meaning:
      'All units of Tandem are there; all that start with the system are enabled, none is masked or replaced by a copy in `/etc`, and the default target starts them.',
    remedy:
      'Run `systemctl --root=TREE enable` with the units that the finding names: on a read-only `/etc`, a preset comes too late.',
  },
  {
    name: 'bless-boot',
    run: blessBoot,
    meaning: '`systemd-bless-boot.service`, if it is there, has the drop-in that leaves confirming to the agent.',
    remedy: 'Install `systemd/systemd-bless-boot.conf` as its drop-in.',
  },
  {
    name: 'dead man',
    run: deadMan,
    meaning:
      'The script that ends a trial without the agent is there, executable, unchanged, and finds the programs that it calls.',
    remedy: 'Install the script that comes with Tandem, and coreutils, grep and sed.',
  },
  {
    name: 'dead man’s time',
    run: deadMansTimer,
    meaning: 'The timer leaves a release the time that `health` allows it.',
    remedy: 'Lengthen `OnActiveSec=` in a drop-in ([health](health.md)), or shorten the times in `health`.',
  },
  {
    name: 'health',
    run: health,
    meaning: 'Every health program can be run, finds its interpreter and its libraries, and at least one is required.',
    remedy:
      'Set the x bit, correct the first line, or install the interpreter. Without a requirement, any release that starts is accepted.',
  },
  {
    name: 'pre-reboot',
    run: hooks,
    meaning: 'Every program in `pre-reboot.d` can be run.',
    remedy: 'As for health programs; otherwise no host restarts into a release.',
  },
  {
    name: 'trust root',
    run: trustRoot,
    meaning:
      '`root.json` is valid, signed by its own keys, not about to expire, and with `--repository` one of that repository.',
    remedy: 'Copy the repository’s `metadata/1.root.json` again.',
  },
  {
    name: 'files',
    run: namedFiles,
    meaning: 'Files in the image that the configuration names are there, and those for certificates hold some.',
    remedy: 'Put the file into the tree, or remove the setting.',
  },
  {
    name: 'secrets',
    run: privateFiles,
    meaning: 'Tokens, passwords and keys in the image are not readable for every user of a host.',
    remedy:
      '`chmod 600`. Everyone who can download the image can read them anyway; better, each host has a secret of its own below `/var`.',
  },
  {
    name: 'group',
    run: group,
    meaning: '`/etc/group` has the group `tandem`.',
    remedy: 'Run `systemd-sysusers --root=TREE`: at run time, nothing can add a group to a read-only `/etc`.',
  },
  {
    name: 'machine id',
    run: machineId,
    meaning:
      '`/etc/machine-id` is an empty file, and `tandem-machine-id.service` keeps the ID that each host makes. Without the file, the system does not start; with an ID in it, all hosts are one; if nothing keeps the ID, a host is a new one at every start.',
    remedy: 'See [what belongs to one host](host-data.md).',
  },
  {
    name: 'host keys',
    run: hostKeys,
    meaning: 'No SSH host key is in the image.',
    remedy: 'Remove it, and let each host make its own below `/var`.',
  },
  {
    name: 'mounts',
    run: writableFolders,
    meaning:
      '`/var` is mounted from a disk, and `/var/lib/tandem` is created there; `/tmp` is writable; their folders exist; `/etc/fstab` does not make `/` writable.',
    remedy:
      'Correct `/etc/fstab`, or enable `tmp.mount`. A writable `/` fails at every start, and with it every release.',
  },
  {
    name: 'EFI partition',
    run: kernelPartitions,
    meaning: 'The partitions of the kernels are mounted, as FAT, writable, with `dirsync`.',
    remedy: 'Correct the line in `/etc/fstab` ([boot loaders](boot-loaders.md)).',
  },
  {
    name: 'file system check',
    run: checkedBeforeMount,
    meaning: 'They are checked before each mount: pass 2 in `/etc/fstab`, and `fsck.vfat`.',
    remedy: 'Set the last number of the line to 2, and install dosfstools.',
  },
  {
    name: 'boot loader',
    run: bootLoader,
    meaning: 'The tree has what the configured boot loader needs from it.',
    remedy: 'See [boot loaders](boot-loaders.md).',
  },
  {
    name: 'clock',
    run: clock,
    meaning: 'A service that sets the clock is enabled.',
    remedy: 'Enable systemd-timesyncd or chrony: the clock decides whether metadata has expired.',
  },
  {
    name: 'network',
    run: network,
    meaning:
      'A service that configures the network is enabled and has something to configure, and `/etc/resolv.conf` exists.',
    remedy: 'Enable one. The warning is harmless if a service of your own does it.',
  },
  {
    name: '/etc',
    run: readOnlyEtc,
    meaning:
      'Nothing that is known to write below `/etc` is set up to do so: mtab, resolv.conf, keys of the SSH server.',
    remedy: 'Make them links to `/run` or `/proc`, or move them to `/var`.',
  },
  {
    name: 'kernel modules',
    run: kernelModules,
    meaning:
      'The kernel is for the architecture of the tree; the modules in the tree belong to it, and include those for FAT and for the file system of `/var`.',
    remedy: 'Install the package of this kernel in the tree, and run `depmod`.',
  },
  {
    name: 'command line',
    needs: ['commandLine'],
    run: commandLine,
    meaning:
      'The kernel’s command line is short enough, and starts no other root, no writable one, and no rescue system.',
    remedy: 'Remove the word that the finding names.',
  },
  {
    name: 'initrd',
    needs: ['initrds'],
    run: initrd,
    meaning: 'The initrd is whole, belongs to the kernel, and can open a root with dm-verity.',
    remedy: 'Build it with dracut and its module `systemd-veritysetup`. If doctor does not know, start the image once.',
  },
];

/** Runs every check for which enough is known; an error that one throws becomes its finding. */
export async function runTreeChecks(world: TreeWorld): Promise<readonly (Finding & { name: string })[]> {
  const findings: (Finding & { name: string })[] = [];
  for (const { name, run, needs = [] } of TREE_CHECKS) {
    if (needs.some((one) => world.with[one] === undefined)) continue;
    const found = await run(world).catch(findingOf);
    if (found) findings.push({ name, ...found, sentence: cleanLine(found.sentence, LONGEST_SENTENCE) });
    world.signal.throwIfAborted();
  }
  return findings;
}

/** Names in a tree can be long. */
const LONGEST_SENTENCE = 500;

function findingOf(error: unknown): Finding {
  const { code, message, entry, cause } = asUpdateError(error);
  const isDenied = [error, cause].some(
    (one) => one instanceof Error && 'code' in one && (one.code === 'EACCES' || one.code === 'EPERM'),
  );
  if (isDenied) return unknown(`Not checked: ${message}`, 'Run it as the user who made the tree.');
  if (code === 'unexpected') throw error;
  return { result: 'fail', sentence: message, next: entry.next };
}
