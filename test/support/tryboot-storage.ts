/** The boot partitions of a Raspberry Pi on recorded storage. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { peSection } from '../../src/formats/pe.ts';
import { trybootKernels, UKI_NAME } from '../../src/reboot/kernels/tryboot-kernels.ts';
import { silentLog } from '../../src/system/log.ts';
import { PRODUCT, rootHashOfVersion } from './esp.ts';
import { RecordingDisk } from './recording-disk.ts';
import { oneChunk, piIncoming, piUki } from './tryboot-machine.ts';

export const DIRS = { a: '/boot/a', b: '/boot/b' };
export const FIRMWARE = { 'config.txt': Buffer.from('kernel=kernel8.img\n'), 'start4.elf': Buffer.from('firmware') };
const PARTS = [
  ['kernel8.img', '.linux'],
  ['initramfs', '.initrd'],
] as const;

/** Both partitions with the firmware's files; slot a with version 2, slot b with version 1. */
export function storage(options: Readonly<{ dropSync?: number }> = {}): RecordingDisk {
  const files = new Map<string, Uint8Array>();
  for (const [slot, version] of [
    ['a', '2'],
    ['b', '1'],
  ] as const)
    for (const [name, bytes] of Object.entries({ ...FIRMWARE, ...unpacked(version) }))
      files.set(join(DIRS[slot], name), bytes);
  return new RecordingDisk({ files, dirs: ['/boot', DIRS.a, DIRS.b], ...options });
}

/** What a slot holds of a kernel. */
export function unpacked(version: string): Record<string, Uint8Array> {
  const uki = piUki(version);
  const parts = PARTS.map(([name, section]) => [name, peSection(uki, section) ?? assert.fail(section)]);
  const commandLine = Buffer.from(`quiet roothash=${rootHashOfVersion(version)} ro\n`);
  return { ...Object.fromEntries(parts), 'cmdline.txt': commandLine, [UKI_NAME]: uki };
}

export const kernelsOn = ({ files }: RecordingDisk, free = 1e9) =>
  trybootKernels({ files, dirs: DIRS, product: PRODUCT, log: silentLog }, async () => free);

export const put = (disk: RecordingDisk, version = '3') =>
  kernelsOn(disk).put('b', piIncoming(version), oneChunk(piUki(version)));
