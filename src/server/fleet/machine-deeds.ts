/** Operators' actions on a machine's record: forget it, or reset its secret. */

import { leave } from '../../rollout/brake.ts';
import type { Json, Key, Store } from '../store/store.ts';
import { type AuditEntry, audited } from './audit.ts';
import { ledgerFrom, machineIn, newsOf } from './machines.ts';

export const machineKey = (id: string): Key => ({ kind: 'machine', id });

/**
 * Removes the machine, and its place in its rollout's `ledger`. A failure there still counts, because the release caused it. False if there
 * is no such machine.
 */
export function forgetMachine(store: Store, id: string, ledger: Key | undefined, entry?: AuditEntry): Promise<boolean> {
  const keys = [machineKey(id), ...(ledger ? [ledger] : [])];
  return audited(store, entry, keys, ([document, kept]) => {
    if (document === undefined) return { write: keys.map(() => undefined), result: false };
    return { write: [null, ...(ledger ? [without(kept, id)] : [])], result: true };
  });
}

/** Binds the id to the next secret presented, and clears the mark of a clone. False if there is no such machine. */
export function resetSecret(store: Store, id: string, entry?: AuditEntry): Promise<boolean> {
  return audited(store, entry, [machineKey(id)], ([document]) => {
    const machine = machineIn(document);
    if (!machine) return { write: [undefined], result: false };
    const { secret, stranger, boot: _boot, past: _past, cloned, ...rest } = machine;
    const isHeld = secret !== undefined || stranger !== undefined || cloned !== undefined;
    return { write: [isHeld ? (rest as unknown as Json) : undefined], result: true };
  });
}

function without(kept: Json | undefined, id: string): Json | undefined {
  const ledger = ledgerFrom(kept);
  leave(ledger, id as Parameters<typeof leave>[1]);
  return newsOf(ledger, kept);
}
