/** GRUB keeps what every boot backend promises, run by the real GRUB on the grub.cfg that we ship. */

import { rm, writeFile } from 'node:fs/promises';
import { flagsBackend } from '../../src/reboot/bootloaders/flags-backend.ts';
import { grubStore } from '../../src/reboot/bootloaders/grub.ts';
import { slotKernels } from '../../src/reboot/kernels/slot-kernels.ts';
import { readPart, realFiles, writePart } from '../../src/system/files.ts';
import { silentLog } from '../../src/system/log.ts';
import { incoming, PRODUCT, uki } from '../support/esp.ts';
import { grubMachine } from '../support/grub-machine.ts';
import { type Bench, conformance } from './backend-conformance.ts';

conformance('GRUB', async (): Promise<Bench> => {
  const machine = await grubMachine(['ORDER=a', 'a_OK=1', 'a_LEFT=0', 'b_OK=0', 'b_LEFT=0']);
  const files = { files: realFiles, readPart, writePart };
  const esp = { ...files, dir: machine.esp, product: PRODUCT, log: silentLog };
  const kernels = slotKernels(esp, async () => Number.MAX_SAFE_INTEGER);
  async function* whole(version: string) {
    yield uki(version);
  }
  await writeFile(`${machine.dir}/a.efi`, uki('2'));
  return {
    kernels,
    backend: flagsBackend(grubStore({ ...files, path: machine.environment }), kernels.versionOf),
    install: (slot, version) => kernels.put(slot, incoming(version), whole(version)),
    remove: (slot) => rm(`${machine.dir}/${slot}.efi`),
    start: machine.start,
    bless: (slot) => machine.set(`${slot}_OK=1`),
    [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose](),
  };
});
