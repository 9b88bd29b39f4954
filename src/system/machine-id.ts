/** This host's id in a fleet, without revealing the machine id, which must not leave the host (machine-id(5)). */

import { createHmac } from 'node:crypto';
import { UpdateError } from '../errors.ts';
import type { MachineId } from '../model.ts';
import type { Files } from './files.ts';

const PATH = '/etc/machine-id';

/** This host's id: 32 hex digits, derived from its machine id specifically for this program. */
export const readMachineId = async (files: Pick<Files, 'read'>): Promise<MachineId> =>
  deriveMachineId(await readRaw(files));

/** Zincati's id for this host at a FleetLock server, for servers that already know their hosts by it. */
export const readZincatiId = async (files: Pick<Files, 'read'>): Promise<string> =>
  appSpecificId(await readRaw(files), ZINCATI);

/** As by `sd_id128_get_machine_app_specific`: an HMAC with the bits of a version 4 UUID. */
export function appSpecificId(machineId: string, application: string): string {
  const digest = createHmac('sha256', Buffer.from(machineId, 'hex')).update(Buffer.from(application, 'hex')).digest();
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x40;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  return digest.toString('hex', 0, 16);
}

const ZINCATI = 'de35106b6ec24688b63afddaa156679b';

async function readRaw(files: Pick<Files, 'read'>): Promise<string> {
  const text = new TextDecoder().decode((await files.read(PATH)) ?? new Uint8Array()).trim();
  if (!/^[0-9a-f]{32}$/.test(text) || /^0*$/.test(text))
    throw new UpdateError('machine-id-missing', `${PATH} holds no machine id.`);
  return text;
}

/** HMAC-SHA256 with the machine id as the key, truncated to 128 bits. */
export const deriveMachineId = (machineId: string): MachineId =>
  createHmac('sha256', Buffer.from(machineId, 'hex')).update('tandem').digest('hex').slice(0, 32) as MachineId;
