/** Objections of the firmware's variables to a restart past the firmware. When in doubt, there is one. */

import { join } from 'node:path';
import { VARIABLE_ATTRIBUTES, variableFile } from '../../system/efi-variable-files.ts';
import type { Files } from '../../system/files.ts';

type FirmwareWorld = Readonly<{ files: Pick<Files, 'read' | 'list'> }>;

/** Only the firmware verifies signatures of boot images, so a release that it would refuse must not be confirmed past it. */
export async function againstSecureBoot(world: FirmwareWorld): Promise<string | undefined> {
  const value = await variable(world, 'SecureBoot');
  if (value === 'absent') return undefined;
  if (value === 'unknown' || value.length === 0) return 'the state of Secure Boot cannot be determined';
  return value[0] === 0 ? undefined : 'Secure Boot is on, and only the firmware verifies what is started';
}

/** The variable that requests a firmware start: a firmware update, its setup, or another entry. */
export async function firmwareIsAwaited(world: FirmwareWorld, isBootNextOurs: boolean): Promise<string | undefined> {
  const wishes = await variable(world, 'OsIndications');
  if (wishes !== 'absent' && (wishes === 'unknown' || wishes.some((byte) => byte !== 0)))
    return 'the firmware’s variable OsIndications';
  if (isBootNextOurs || (await variable(world, 'BootNext')) === 'absent') return undefined;
  return 'the firmware’s variable BootNext';
}

/** The value without its leading attributes. */
async function variable({ files }: FirmwareWorld, name: string): Promise<Uint8Array | 'absent' | 'unknown'> {
  if ((await files.list(EFI)).length === 0) return 'absent';
  try {
    const names = await files.list(VARIABLES);
    // Every firmware has some variables; an empty folder is not mounted.
    if (names.length === 0) return 'unknown';
    if (!names.includes(variableFile(name))) return 'absent';
    return (await files.read(join(VARIABLES, variableFile(name))))?.subarray(VARIABLE_ATTRIBUTES) ?? 'absent';
  } catch {
    return 'unknown';
  }
}

const EFI = '/sys/firmware/efi';
const VARIABLES = '/sys/firmware/efi/efivars';
