/** The ledger of a rollout as a document: kept as it is, and written only when it says something new. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MachineId } from '../../src/model.ts';
import { isKept, ledgerFrom, ledgerJson } from '../../src/server/machines.ts';
import type { Json } from '../../src/server/store.ts';

const host = fc.constantFrom('a', 'b', 'c') as fc.Arbitrary<MachineId>;
const brake = fc.record({ at: fc.nat(2), reason: fc.constantFrom('x', 'y') });
const ledger = fc
  .record({
    inFlight: fc.array(fc.tuple(host, fc.nat(2)), { maxLength: 3 }).map((entries) => new Map(entries)),
    failed: fc.array(fc.tuple(host, fc.constantFrom('x', 'y')), { maxLength: 3 }).map((entries) => new Map(entries)),
    updated: fc.nat(1),
    braked: fc.option(
      fc.oneof(
        brake,
        brake.map((one) => ({ ...one, byHand: true as const })),
      ),
    ),
  })
  .map(({ braked, ...rest }) => ({ ...rest, ...(braked ? { braked } : {}) }));

const text = (document: Json): string => JSON.stringify(document);

test('a ledger is taken for kept exactly when its document would be the same to the letter', () => {
  fc.assert(
    fc.property(ledger, ledger, (one, other) => {
      const kept = JSON.parse(text(ledgerJson(other))) as Json;
      assert.equal(isKept(one, kept), text(ledgerJson(one)) === text(kept));
    }),
    { numRuns: 2000 },
  );
  fc.assert(fc.property(ledger, (one) => assert.ok(isKept(one, JSON.parse(text(ledgerJson(one))) as Json))));
});

test('where nothing was kept, only an empty ledger says nothing new', () => {
  fc.assert(
    fc.property(ledger, (one) => {
      assert.equal(isKept(one, undefined), text(ledgerJson(one)) === text(ledgerJson(ledgerFrom(undefined))));
    }),
  );
});
