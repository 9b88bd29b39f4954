/** The work of tandem-jump@.service, which the agent itself may not do: prepares a slot to start without the boot loader, or frees it. */

import { join } from 'node:path';
import { type Config, requireSetting } from '../../config/config.ts';
import { asUpdateError, UpdateError } from '../../errors.ts';
import type { Product, Sha256, SlotName } from '../../model.ts';
import type { Slot } from '../../partitions/slots.ts';
import { noKernel } from '../../reboot/bootloaders/bootloader.ts';
import type { Kernels } from '../../reboot/kernels/kernels.ts';
import type { FileReader } from '../../reboot/kernels/uki-file.ts';
import { startGuard, stopGuard } from '../../reboot/methods/guard.ts';
import { kexecsOf } from '../../reboot/methods/host-facts.ts';
import { loadKernel, unloadKernel } from '../../reboot/methods/kexec.ts';
import { dropNextRoot, mountNextRoot, NEXT_ROOT } from '../../reboot/methods/soft.ts';
import type { SlotDevices } from '../../reboot/methods/verity-device.ts';
import { warmUp } from '../../reboot/methods/warm-up.ts';
import { armWatchdog, disarmWatchdog } from '../../reboot/methods/watchdog.ts';
import { realClock } from '../../system/clock.ts';
import { isFolder, readText, readThrough } from '../../system/files.ts';
import type { Exec } from '../../system/process/exec.ts';
import { openBootLoader } from '../boot-loader.ts';
import { findHost, mappedOverSlot, realDoors, slotLabels } from '../install/host.ts';
import { failurePath } from './preparation.ts';

type JumpWorld = Parameters<typeof openBootLoader>[1] & Readonly<{ exec: Exec }>;

/** `soft-b`, `kexec-b` or `free-b`; leaves the reason of a failure where the agent finds it. */
export async function runJump(config: Config, world: JumpWorld, what: string): Promise<void> {
  try {
    await prepareJump(config, world, what);
  } catch (error) {
    const { message } = asUpdateError(error);
    await world.files.write(failurePath(config.agent.runtimeDir), [new TextEncoder().encode(message)]);
    throw error;
  }
}

async function prepareJump(config: Config, world: JumpWorld, what: string): Promise<void> {
  const [, verb, name] = /^(soft|kexec|free)-([ab])$/.exec(what) ?? [];
  if (verb === undefined)
    throw new UpdateError('usage', `“${what}” is not soft, kexec or free with a slot, such as soft-b.`);
  const target = name as SlotName;
  const { files, exec, log } = world;
  const product = requireSetting(config, 'host.product') as Product;
  const disk = config.slots.disk === 'auto' ? undefined : config.slots.disk;
  const host = await findHost(
    slotLabels(config),
    realDoors(disk, (sentence) => log.warn(sentence)),
  );
  if (host.booted === target) throw new UpdateError('slot-booted', `Slot ${target} is already running.`);
  const { kernels } = openBootLoader(config, world, { ...host, product });
  const slot = await host.partitions(target);
  const root = { exec, files, isDir: isFolder, holders: () => mappedOverSlot(slot) };
  const kexec = { exec, files, dir: join(config.agent.runtimeDir, 'kexec') };
  if (verb === 'free') {
    await stopGuard(exec);
    await disarmWatchdog(exec);
    await unloadKernel(kexec);
    await dropNextRoot(root, devicesOf(slot));
    return;
  }
  const ready =
    verb === 'soft'
      ? await readySoft(root, devicesOf(slot), await rootHashOf(kernels, target))
      : await readyKexec(kexec, await ukiOf(kernels, target), 1 + (await kexecsSoFar(world)));
  log.info({ verb, target, ...ready }, 'ready to jump');
}

async function readySoft(root: Parameters<typeof mountNextRoot>[0], devices: SlotDevices, rootHash: Sha256) {
  await mountNextRoot(root, devices, rootHash);
  return { guard: await startGuard(root.exec), warmBytes: await warmUp(realPages(root.files), NEXT_ROOT) };
}

async function readyKexec(
  kexec: Parameters<typeof loadKernel>[0] & { files: JumpWorld['files'] },
  uki: FileReader,
  kexecs: number,
) {
  await loadKernel(kexec, uki, kexecs);
  return { watchdog: await armWatchdog(kexec) };
}

const realPages = (files: Parameters<typeof warmUp>[0]['files']) => ({
  files,
  readThrough,
  monotonicMs: realClock.monotonicMs,
});

const devicesOf = ({ root, verity }: Slot): SlotDevices => ({
  root: root.path,
  ...(verity ? { verity: verity.path } : {}),
});

const kexecsSoFar = async ({ files }: JumpWorld): Promise<number> => kexecsOf(await readText(files, '/proc/cmdline'));

async function rootHashOf(kernels: Kernels, slot: SlotName) {
  const rootHash = await kernels.rootHash(slot);
  if (rootHash === undefined) throw noKernel(slot);
  return rootHash;
}

async function ukiOf(kernels: Kernels, slot: SlotName) {
  const uki = await kernels.open(slot);
  if (uki === undefined) throw noKernel(slot);
  return uki;
}
