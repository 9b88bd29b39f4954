/** Each boot backend keeps what all of them promise. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SlotName, Version } from '../../src/model.ts';
import { flagsBackend } from '../../src/reboot/bootloaders/flags-backend.ts';
import { nextSlot, type SlotFlags, tried } from '../../src/reboot/bootloaders/slot-flags.ts';
import { systemdBoot } from '../../src/reboot/bootloaders/systemd-boot.ts';
import { entryKernels } from '../../src/reboot/kernels/entry-kernels.ts';
import { readEsp } from '../../src/reboot/kernels/esp-entries.ts';
import { removeEntries } from '../../src/reboot/kernels/esp-writing.ts';
import type { Kernels } from '../../src/reboot/kernels/kernels.ts';
import { realFiles } from '../../src/system/files.ts';
import { bless, espWorld, putFile, putVersion, start, uki } from '../support/esp.ts';
import { kernelFolder } from '../support/kernel-folder.ts';
import { memoryLoader } from '../support/memory-backend.ts';
import { type Bench, conformance } from './backend-conformance.ts';

conformance('memory', async (): Promise<Bench> => {
  const folder = await kernelFolder();
  const loader = memoryLoader('2' as Version);
  // Its kernels are where it looks for versions.
  const { kernels } = folder;
  const put: Kernels['put'] = async (slot, uki, chunks) => {
    await kernels.put(slot, uki, chunks);
    loader.install(slot, uki.version);
  };
  return {
    backend: loader.backend,
    kernels: { ...kernels, put },
    install: async (slot, version) => {
      await folder.install(slot, version);
      loader.install(slot, version);
    },
    remove: async (slot) => loader.remove(slot),
    start: async () => loader.start(),
    bless: async (slot) => loader.bless(slot),
    [Symbol.asyncDispose]: folder[Symbol.asyncDispose],
  };
});

conformance('flags', async (): Promise<Bench> => {
  const { versionOf, ...folder } = await kernelFolder();
  const never = { bootable: false, successful: false, tries: 0 };
  let flags: SlotFlags = { first: 'a', slots: { a: { ...never, bootable: true, successful: true }, b: never } };
  const save = async (wanted: SlotFlags): Promise<void> => {
    flags = wanted;
  };
  const store = { name: 'flags', mostTries: 7, load: async () => flags, save };
  return {
    ...folder,
    backend: flagsBackend(store, versionOf),
    start: async () => {
      const slot = nextSlot(flags);
      if (slot && !flags.slots[slot].successful) flags = tried(flags, slot);
      return slot;
    },
    bless: async (slot) => {
      flags = { ...flags, slots: { ...flags.slots, [slot]: { bootable: true, successful: true, tries: 0 } } };
    },
  };
});

conformance('systemd-boot', async (): Promise<Bench> => {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-esp-'));
  const esp = espWorld(realFiles, dir, { a: '2', b: undefined });
  await putFile(esp, 'shop_2.efi', uki('2'));
  return {
    backend: systemdBoot(esp),
    kernels: entryKernels(esp, async () => Number.MAX_SAFE_INTEGER),
    holds: (rootHash) => {
      esp.holds.b = rootHash;
    },
    install: async (slot: SlotName, version: Version) => {
      esp.holds[slot] = version;
      await putVersion(esp, version);
    },
    remove: async (slot) => {
      const { entries } = await readEsp(esp);
      await removeEntries(
        esp,
        entries.filter((one) => one.slot === slot),
      );
    },
    start: () => start(esp),
    bless: (slot) => bless(esp, slot),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true }),
  };
});
