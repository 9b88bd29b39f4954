/** A host that asks for a lock: FleetLock tells no more than an id, so what ours show beside it says whether they are who they say. Pure. */

import { hash } from 'node:crypto';
import { UpdateError } from '../../errors.ts';
import { MACHINE_PATTERN } from '../../model.ts';
import type { Member, Semaphore } from '../../reboot/gates/locks/semaphore.ts';
import type { Json, Key } from '../store/store.ts';
import { machineKey } from './machine-deeds.ts';
import { type SecretRules, type Shown, strangerTo } from './machine-secrets.ts';
import { machineIn } from './machines.ts';

/** Under which a host may be known that asks as `id`: hosts may be called otherwise in a lock than where they check in. */
export const recordsOf = (id: string, { machine = id }: Shown): readonly Key[] =>
  [...new Set([machine, id])].filter((one) => MACHINE_PATTERN.test(one)).map(machineKey);

/** Where it is kept which machine takes part in the locks as `id`; hosts that are called the same there need no such entry. */
export const aliasKey = (id: string): Key => ({ kind: 'alias', id });

/** What has to be written under `aliasKey`: only who has shown the secret of a machine is believed to be it. */
export const aliasOf = (id: string, { machine }: Shown, [record]: readonly (Json | undefined)[]): Json | undefined =>
  machine !== undefined && machine !== id && machineIn(record)?.secret !== undefined ? machine : undefined;

/** Throws where it is not the machine that checks in under this id, or not the one that holds the lock. `takes`: it asks for the lock. */
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

/** One for each secret on each machine, so that a copy of a disk has another; empty for hosts that show nothing. */
const markOf = ({ secret, hardware = '' }: Shown): string =>
  secret === undefined ? '' : hash('sha256', `${secret} ${hardware}`, 'hex');
