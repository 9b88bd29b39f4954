/** The kernels of a machine whose boot loader starts fixed names: a folder as its ESP, with version 2 in slot a and none in slot b. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SlotName, Version } from '../../src/model.ts';
import { kernelName, slotKernels } from '../../src/reboot/kernels/slot-kernels.ts';
import { readPart, realFiles, writePart } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { incoming, PRODUCT, uki } from './esp.ts';

export async function kernelFolder() {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-kernels-'));
  const esp = { files: realFiles, readPart, writePart, dir, product: PRODUCT, log: silentLog };
  const kernels = slotKernels(esp, async () => Number.MAX_SAFE_INTEGER);
  await mkdir(join(dir, 'EFI/tandem'), { recursive: true });
  await writeFile(join(dir, kernelName('a')), uki('2'));
  async function* whole(version: string) {
    yield uki(version);
  }
  return {
    kernels,
    versionOf: kernels.versionOf,
    install: (slot: SlotName, version: Version) => kernels.put(slot, incoming(version), whole(version)),
    remove: (slot: SlotName) => rm(join(dir, kernelName(slot))),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true }),
  };
}
