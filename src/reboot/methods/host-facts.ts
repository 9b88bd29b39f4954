/** Facts of this host about restarting it: the running kernel, the abilities of kernel and service manager, and requests. */

import { join } from 'node:path';
import { commandLineValues } from '../../formats/pe.ts';
import type { Sha256 } from '../../model.ts';
import { rootMount } from '../../system/disk/mounts.ts';
import { type Files, readText, readTextIfAny } from '../../system/files.ts';
import { type Exec, run } from '../../system/process/exec.ts';
import type { Jump, Known } from './choose.ts';
import { againstSecureBoot, firmwareIsAwaited } from './firmware-variables.ts';
import { KEXECS, type Kernel, withoutRootHash } from './kernel.ts';
import { OLDEST_SYSTEMD } from './soft.ts';
import { rootHashOfDevice } from './verity-device.ts';

export type RestartFacts = Readonly<{
  /** Of the running kernel. */
  commandLine: string;
  release: string;
  /** The root hash with which `/` was opened after a soft reboot of ours. */
  softRootHash?: Sha256;
  kexecs: number;
  barred: Readonly<Partial<Record<Jump, string>>>;
  /** The first flag file or variable that requests the firmware. */
  firmwareFlag?: string;
}>;

type HostFactsWorld = Readonly<{ files: Pick<Files, 'read' | 'list'>; exec: Exec }>;

/**
 * `flags`: the files that request the firmware; `esp`: the ESP's mount point. `isBootNextOurs`: the backend arms a slot with BootNext,
 * which is then not a request of others.
 */
export async function readHostFacts(
  world: HostFactsWorld,
  flags: readonly string[],
  esp: string,
  isBootNextOurs = false,
): Promise<RestartFacts> {
  const commandLine = await readText(world.files, '/proc/cmdline');
  const rootHash = await softRootHash(world.files);
  const both = await againstSecureBoot(world);
  const kexec = both ?? (await againstKexec(world, esp));
  const soft = both ?? (await againstSoft(world));
  const firmwareFlag = (await firstPresent(world, flags)) ?? (await firmwareIsAwaited(world, isBootNextOurs));
  return {
    commandLine,
    release: await readText(world.files, '/proc/sys/kernel/osrelease'),
    ...(rootHash === undefined ? {} : { softRootHash: rootHash }),
    kexecs: kexecsOf(commandLine),
    barred: { ...(kexec === undefined ? {} : { kexec }), ...(soft === undefined ? {} : { soft }) },
    ...(firmwareFlag === undefined ? {} : { firmwareFlag }),
  };
}

/** The number of kexec starts that led to the kernel with this command line. */
export function kexecsOf(commandLine: string): number {
  const count = Number(commandLineValues(commandLine, KEXECS).at(-1) ?? 0);
  return Number.isSafeInteger(count) && count >= 0 ? count : Number.MAX_SAFE_INTEGER;
}

/** The root hash of the running system, if it was started by our soft reboot. */
export const softRootHash = async (files: Pick<Files, 'read'>): Promise<Sha256 | undefined> =>
  rootHashOfDevice(rootMount(await readText(files, '/proc/self/mountinfo'))?.source ?? '');

/** The running kernel, if it is certainly that of the running slot's boot image. Pure. */
export function runningKernel(booted: Kernel, host: RestartFacts): Known<Kernel> {
  const [rootHash, ...more] = commandLineValues(host.commandLine, 'roothash');
  const isStarted = more.length === 0 && rootHash === booted.rootHash;
  // Our soft reboot keeps the kernel, and happens only if both boot images have the same one.
  if (!isStarted && host.softRootHash !== booted.rootHash)
    return { unknown: 'the running kernel was not started from the boot image of this slot' };
  if (withoutRootHash(host.commandLine) !== booted.commandLine)
    return { unknown: 'the command line of the running kernel differs from that of its boot image' };
  if (booted.release !== undefined && booted.release !== host.release)
    return { unknown: `the running kernel is ${host.release}, that of its boot image ${booted.release}` };
  return booted;
}

async function againstKexec(world: HostFactsWorld, esp: string): Promise<string | undefined> {
  const { files } = world;
  if ((await readTextIfAny(files, '/sys/kernel/kexec_loaded')) === undefined)
    return 'this kernel does not support kexec';
  if ((await readTextIfAny(files, '/proc/sys/kernel/kexec_load_disabled')) === '1')
    return 'kernel.kexec_load_disabled is set';
  const lockdown = await readTextIfAny(files, '/sys/kernel/security/lockdown');
  if (lockdown !== undefined && !lockdown.includes('[none]')) return `the kernel is locked down: ${lockdown}`;
  return againstExtras(world, esp);
}

/** From the ESP, systemd's boot stub passes more files to the initrd than the boot image contains. */
async function againstExtras({ files }: HostFactsWorld, esp: string): Promise<string | undefined> {
  const why = (path: string): string => `${path} contains files that only the boot loader passes on`;
  for (const dir of [join(esp, 'loader/credentials'), join(esp, 'loader/addons')])
    if ((await files.list(dir)).length > 0) return why(dir);
  const own = (await files.list(join(esp, 'EFI/Linux'))).find((name) => name.endsWith('.extra.d'));
  return own && why(join(esp, 'EFI/Linux', own));
}

async function againstSoft({ exec }: HostFactsWorld): Promise<string | undefined> {
  const options = { timeoutMs: 20_000, package: 'systemd' };
  const output = (await run(exec, 'systemctl', ['show', '--property=Version', '--value'], options)).trim();
  const version = Number.parseInt(output, 10);
  return version >= OLDEST_SYSTEMD ? undefined : `systemd ${output || '(unknown)'} is older than ${OLDEST_SYSTEMD}`;
}

async function firstPresent({ files }: HostFactsWorld, paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    // Folders and unreadable files count as present.
    const isThere = await files.read(path).then(
      (bytes) => bytes !== undefined,
      () => true,
    );
    if (isThere) return path;
  }
  return undefined;
}
