/** Who this host is to the rest of a fleet, without telling its machine id: that one must not leave the host (machine-id(5)). */

import { createHmac } from 'node:crypto';
import { UpdateError } from '../errors.ts';
import type { MachineId } from '../model.ts';
import type { Files } from './files.ts';

const PATH = '/etc/machine-id';

/** Reads the id of this host: 32 hex digits that only this program derives from its machine id. */
export async function readMachineId(files: Pick<Files, 'read'>): Promise<MachineId> {
  const text = new TextDecoder().decode((await files.read(PATH)) ?? new Uint8Array()).trim();
  if (!/^[0-9a-f]{32}$/.test(text) || /^0*$/.test(text))
    throw new UpdateError('machine-id-missing', `${PATH} holds no machine id.`);
  return deriveMachineId(text);
}

/** HMAC-SHA256 with the machine id as the key, cut to 128 bits. */
export const deriveMachineId = (machineId: string): MachineId =>
  createHmac('sha256', Buffer.from(machineId, 'hex')).update('tandem').digest('hex').slice(0, 32) as MachineId;
