/** What an operator does to what the server knows of a machine: forgets it, or lets it show another secret. */

import { leave } from '../../rollout/brake.ts';
import type { Json, Key, Store } from '../store/store.ts';
import { type AuditEntry, audited } from './audit.ts';
import { ledgerFrom, machineIn, newsOf } from './machines.ts';

export const machineKey = (id: string): Key => ({ kind: 'machine', id });

/**
 * Removes the machine; `ledger` is that of the rollout which it follows, in which it is under way no longer. A failure there goes on counting: it
 * was the release's. False where no such machine is known.
 */
export function forgetMachine(store: Store, id: string, ledger: Key | undefined, entry?: AuditEntry): Promise<boolean> {
  const keys = [machineKey(id), ...(ledger ? [ledger] : [])];
  return audited(store, entry, keys, ([document, kept]) => {
    if (document === undefined) return { write: keys.map(() => undefined), result: false };
    return { write: [null, ...(ledger ? [without(kept, id)] : [])], result: true };
  });
}

/** The next secret that is shown for it counts, and that two machines had its id is over. False where no such machine is known. */
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
