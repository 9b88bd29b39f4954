/** An ESP with systemd-boot in front of it: makes tiny UKIs, and starts the machine as the boot loader would. */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Product, Sha256, SlotName, Version } from '../../src/model.ts';
import { counted, formatEntryName, parseEntryName } from '../../src/reboot/kernels/entry-name.ts';
import { type Esp, entriesDir, readEsp } from '../../src/reboot/kernels/esp-entries.ts';
import { putUki } from '../../src/reboot/kernels/esp-writing.ts';
import type { IncomingUki } from '../../src/reboot/kernels/uki-file.ts';
import type { Files } from '../../src/system/files.ts';
import { type Log, silentLog } from '../../src/system/log.ts';
import { peFile } from './pe.ts';

export const PRODUCT = 'shop' as Product;
export const sha256 = (content: string | Uint8Array): Sha256 =>
  createHash('sha256').update(content).digest('hex') as Sha256;

/** The root hash that a version's root has in these tests. */
export const rootHashOfVersion = (version: string): Sha256 => sha256(`root of ${version}`);

/** A UKI as `ukify` makes it, with nothing to start inside. */
export const uki = (version: string, rootHash: Sha256 = rootHashOfVersion(version)): Uint8Array =>
  ukiWith(version, `quiet roothash=${rootHash} ro`);

export const ukiWith = (version: string, commandLine: string): Uint8Array =>
  peFile([
    [
      '.osrel',
      `ID=${PRODUCT}\nNAME=Shop\nPRETTY_NAME="Shop ${version}"\nVERSION_ID=${version}\nIMAGE_VERSION=${version}\n`,
    ],
    ['.cmdline', commandLine],
    ['.linux', 'kernel'.repeat(300)],
  ]);

export const incoming = (version: string, bytes: Uint8Array = uki(version)): IncomingUki => ({
  version: version as Version,
  size: bytes.length,
  sha256: sha256(bytes),
  rootHash: rootHashOfVersion(version),
});

export type EspWorld = Esp & Readonly<{ log: Log; holds: Record<SlotName, string | undefined> }>;

/** `holds` says which version lies in the partitions of each slot, or with which root hash one does. */
export function espWorld(files: Files, dir: string, holds: Record<SlotName, string | undefined>): EspWorld {
  const slotOf = (hash: Sha256): SlotName | undefined =>
    (['a', 'b'] as const).find((slot) => [holds[slot], rootHashOfVersion(holds[slot] ?? '')].includes(hash));
  return { files, dir, product: PRODUCT, holds, log: silentLog, slotOfRootHash: async (hash) => slotOf(hash) };
}

export const putVersion = (esp: EspWorld, version: string): Promise<void> =>
  putUki(esp, incoming(version), [uki(version)]);

/** Writes an entry under a given name, as an installer would. */
export async function putFile(esp: EspWorld, file: string, bytes: Uint8Array): Promise<void> {
  await esp.files.makeDir(entriesDir(esp));
  await esp.files.write(join(entriesDir(esp), file), [bytes]);
  await esp.files.syncFile(join(entriesDir(esp), file));
  await esp.files.syncDir(entriesDir(esp));
}

/** What firmware and boot loader do: take the first entry and count it. */
export async function start(esp: EspWorld): Promise<SlotName | undefined> {
  const entry = (await readEsp(esp)).entries[0];
  const name = entry && parseEntryName(esp.product, entry.file);
  if (entry && name?.counter)
    await rename(esp, entry.file, formatEntryName(esp.product, { ...name, counter: counted(name.counter) }));
  return entry?.slot;
}

/** What systemd-bless-boot does. */
export async function bless(esp: EspWorld, slot: SlotName): Promise<void> {
  const entry = (await readEsp(esp)).entries.find((one) => one.slot === slot);
  if (entry?.counter) await rename(esp, entry.file, formatEntryName(esp.product, { version: entry.version }));
}

async function rename(esp: EspWorld, from: string, to: string): Promise<void> {
  await esp.files.rename(join(entriesDir(esp), from), join(entriesDir(esp), to));
  await esp.files.syncDir(entriesDir(esp));
}
