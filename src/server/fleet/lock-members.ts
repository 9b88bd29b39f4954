/** The identity of a lock's requester: FleetLock sends only an id, so the additional headers of our agents prove it. Pure. */

import { hash } from 'node:crypto';
import { UpdateError } from '../../errors.ts';
import { MACHINE_PATTERN } from '../../model.ts';
import type { Member, Semaphore } from '../../reboot/gates/locks/semaphore.ts';
import type { Json, Key } from '../store/store.ts';
import { machineKey } from './machine-deeds.ts';
import { type SecretRules, type Shown, strangerTo } from './machine-secrets.ts';
import { machineIn } from './machines.ts';

/** The machines that may request a lock as `id`: hosts may have another id for the lock than for check-ins. */
export const recordsOf = (id: string, { machine = id }: Shown): readonly Key[] =>
  [...new Set([machine, id])].filter((one) => MACHINE_PATTERN.test(one)).map(machineKey);

/** The key under which a machine's alias in the locks is stored; hosts with the same id need none. */
export const aliasKey = (id: string): Key => ({ kind: 'alias', id });

/** The document for `aliasKey`: only for a host that has shown the machine's secret. */
export const aliasOf = (id: string, { machine }: Shown, [record]: readonly (Json | undefined)[]): Json | undefined =>
  machine !== undefined && machine !== id && machineIn(record)?.secret !== undefined ? machine : undefined;

/** Throws if the requester is not the machine with this id, or not the holder of the lock. `takes`: it requests the lock. */
export function memberOf(
  id: string,
  who: Shown,
  records: readonly (Json | undefined)[],
  { holders }: Semaphore,
  { takes, ...rules }: SecretRules & Readonly<{ takes: boolean }>,
): Member {
  const machines = records.map(machineIn);
  const holder = holders.find((one) => one.id === id);
  for (const machine of machines) {
    const strange = strangerTo(machine, who, rules);
    if (strange) throw new UpdateError(strange);
    if (machine?.cloned && (takes || holder)) throw new UpdateError('machine-cloned');
  }
  const hardware = markOf(who);
  if (holder !== undefined && holder.hardware !== '' && hardware === '' && !rules.maySilent)
    throw new UpdateError('machine-secret-missing');
  return { id, name: machines[0]?.host?.name ?? id, hardware };
}

/** Unique per secret and machine, so that a disk copy has another; empty for hosts that send none. */
const markOf = ({ secret, hardware = '' }: Shown): string =>
  secret === undefined ? '' : hash('sha256', `${secret} ${hardware}`, 'hex');
