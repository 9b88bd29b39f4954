/** What `image inspect` found, for people. */

import { SLOT_NAMES, type SlotName } from '../../model.ts';
import type { Output } from '../output.ts';
import { bytes } from '../units.ts';
import type { InspectedBoot } from './inspected-boot.ts';
import type { InspectedDisk } from './inspected-disk.ts';
import type { InspectedSlot } from './inspected-slots.ts';
import type { InspectedSystem } from './inspected-system.ts';

export function showDisk(out: Output, path: string, disk: InspectedDisk): void {
  out.line(`${path}: ${bytes(disk.size)}, sectors of ${disk.sectorSize} bytes, disk ${disk.guid}`);
  out.line();
  out.table([
    ['', 'label', 'type', 'UUID', 'starts at', 'size'],
    ...disk.partitions.map(({ number, label, type, typeName, uuid, offset, size }) => [
      String(number),
      label,
      typeName ?? type,
      uuid,
      String(offset),
      bytes(size),
    ]),
  ]);
  out.line();
  for (const name of SLOT_NAMES) showSlot(out, name, disk.slots[name]);
  if (disk.boot) showBoot(out, disk.boot);
  if (disk.system) showSystem(out, disk.system);
  for (const fault of disk.faults) out.marked('bad', 'wrong: ', fault);
}

function showSlot(out: Output, name: SlotName, slot: InspectedSlot | undefined): void {
  if (slot) showContent(out, name, slot);
  else out.line(`slot ${name}: none`);
}

function showContent(out: Output, name: SlotName, slot: InspectedSlot): void {
  const { isNeutral, rootHash, version, check, reason } = slot;
  const content = [version === undefined ? undefined : `version ${version}`, rootHash && `root hash ${rootHash}`];
  const known = content.filter((text) => text !== undefined && text !== '').join(', ');
  const free = known === '' ? 'free' : `free; was ${known}`;
  out.line(`slot ${name}: ${isNeutral ? free : known || 'nothing known'}`);
  if (isNeutral) return;
  const text = `  verity tree: ${CHECKS[check]}${reason === undefined ? '' : `: ${reason}`}`;
  if (check === 'mismatch') out.marked('bad', text, '');
  else out.line(text);
}

const CHECKS: Readonly<Record<InspectedSlot['check'], string>> = {
  none: 'not in a partition of its own, so it was not compared',
  top: 'belongs to this root hash (--verify reads everything)',
  whole: 'every block belongs to this root hash',
  mismatch: 'does not belong to the slot',
};

function showBoot(out: Output, { loader, next, entries }: InspectedBoot): void {
  out.line(`boot loader: ${loader}${next === undefined ? '' : `, starts slot ${next}`}`);
  for (const { file, slot, version, left } of entries) {
    const tries = left === undefined ? 'proven' : `${left} tries left`;
    out.line(
      `  ${file}: ${slot === undefined ? 'no slot' : `slot ${slot}`}, version ${version ?? 'unknown'}, ${tries}`,
    );
  }
}

function showSystem(out: Output, system: InspectedSystem): void {
  const { isRootReadable, isVarReadable, trustRoot, product, repository, channel, varConfig } = system;
  if (!isRootReadable) out.line('The files of the root image cannot be read.');
  if (!isVarReadable) out.line('There is no /var that can be read.');
  const root =
    trustRoot &&
    `${trustRoot.path}, version ${trustRoot.version ?? 'unknown'}, expires ${trustRoot.expires ?? 'unknown'}`;
  out.line(`trust root: ${root ?? 'none found'}`);
  out.line(`settings: product ${product ?? 'unset'}, repository ${repository ?? 'unset'}, channel ${channel}`);
  for (const path of varConfig) out.line(`  ${path}`);
}
