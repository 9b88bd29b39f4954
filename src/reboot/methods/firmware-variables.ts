/** What the firmware's own variables have against a restart past it. In doubt, something. */

import { join } from 'node:path';
import { VARIABLE_ATTRIBUTES, variableFile } from '../../system/efi-variable-files.ts';
import type { Files } from '../../system/files.ts';

type World = Readonly<{ files: Pick<Files, 'read' | 'list'> }>;

/** Of a boot image nobody but the firmware checks the signature: one that it will refuse must not be proven past it. */
export async function againstSecureBoot(world: World): Promise<string | undefined> {
  const value = await variable(world, 'SecureBoot');
  if (value === 'absent') return undefined;
  if (value === 'unknown' || value.length === 0) return 'whether Secure Boot is on cannot be found out';
  return value[0] === 0 ? undefined : 'Secure Boot is on, and only the firmware checks what is started';
}

/** The variable by which something waits for the firmware: an update of it, its setup, another entry. */
export async function firmwareIsAwaited(world: World, isBootNextOurs: boolean): Promise<string | undefined> {
  const wishes = await variable(world, 'OsIndications');
  if (wishes !== 'absent' && (wishes === 'unknown' || wishes.some((byte) => byte !== 0)))
    return 'the firmware’s variable OsIndications';
  if (isBootNextOurs || (await variable(world, 'BootNext')) === 'absent') return undefined;
  return 'the firmware’s variable BootNext';
}

/** Without the attributes before it. */
async function variable({ files }: World, name: string): Promise<Uint8Array | 'absent' | 'unknown'> {
  if ((await files.list(EFI)).length === 0) return 'absent';
  try {
    const names = await files.list(VARIABLES);
    // All firmware has some; a folder without any is not mounted.
    if (names.length === 0) return 'unknown';
    if (!names.includes(variableFile(name))) return 'absent';
    return (await files.read(join(VARIABLES, variableFile(name))))?.subarray(VARIABLE_ATTRIBUTES) ?? 'absent';
  } catch {
    return 'unknown';
  }
}

const EFI = '/sys/firmware/efi';
const VARIABLES = '/sys/firmware/efi/efivars';
