/** The ledger of a rollout as a document: kept as it is, and written only when it says something new. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MachineId, Version } from '../../src/model.ts';
import { answerCheckIn } from '../../src/server/fleet/check-in.ts';
import { isKept, ledgerFrom, ledgerJson } from '../../src/server/fleet/machines.ts';
import type { Json } from '../../src/server/store/store.ts';
import { checkInOf } from '../support/check-in-line.ts';
import { START, virtualChannel } from '../support/virtual-channel.ts';

const host = fc.constantFrom('a', 'b', 'c') as fc.Arbitrary<MachineId>;
const anyMap = <N extends 'due' | 'reason', T>(name: N, anyValue: fc.Arbitrary<T>) =>
  fc
    .array(fc.tuple(host, anyValue, fc.option(fc.constant('1.9' as Version))), { maxLength: 3 })
    .map(
      (all) =>
        new Map(all.map(([one, value, via]) => [one, { [name]: value, ...(via ? { via } : {}) } as Entry<N, T>])),
    );
type Entry<N extends string, T> = Readonly<Record<N, T> & { via?: Version }>;
const brake = fc.record({ at: fc.nat(2), reason: fc.constantFrom('x', 'y') });
const ledger = fc
  .record({
    inFlight: anyMap('due', fc.nat(2)),
    failed: fc
      .tuple(
        anyMap('reason', fc.constantFrom('x', 'y')),
        fc.option(fc.constantFrom('silent' as const, 'lost' as const)),
      )
      .map(
        ([all, doubt]) =>
          new Map([...all].map(([one, kept], at) => [one, at > 0 || !doubt ? kept : { ...kept, doubt }])),
      ),
    readmitted: fc.uniqueArray(host, { maxLength: 2 }).map((all) => new Set(all)),
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

test('a ledger that an older server kept is read as it was', () => {
  const old = { inFlight: [['a', 7]], failed: [['b', 'unhealthy']], updated: 3, braked: { at: 5, reason: 'x' } };
  const { inFlight, failed, updated, braked } = ledgerFrom(old);
  assert.deepEqual([...inFlight], [['a', { due: 7 }]]);
  assert.deepEqual([...failed], [['b', { reason: 'unhealthy' }]]);
  assert.deepEqual([updated, braked, ledgerJson(ledgerFrom(old))], [3, { at: 5, reason: 'x' }, old]);
});

test('where nothing was kept, only an empty ledger says nothing new', () => {
  fc.assert(
    fc.property(ledger, (one) => {
      assert.equal(isKept(one, undefined), text(ledgerJson(one)) === text(ledgerJson(ledgerFrom(undefined))));
    }),
  );
});

test('five thousand hosts that fail with the longest reasons fit into what etcd takes at once', () => {
  const hosts = 5000;
  const limits = { maxInFlight: hosts, maxFailures: hosts, patienceMs: 1 };
  const { offered } = virtualChannel(limits);
  const known = ledgerFrom(undefined);
  for (let host = 0; host < hosts; host++) {
    const outcome = { at: '2030-01-01T00:00:00Z', result: 'rolled-back', version: '2.0' as Version } as const;
    const failed = checkInOf(host, { outcome: { ...outcome, reason: '€'.repeat(400) } });
    answerCheckIn(failed, undefined, offered, known, START);
  }
  assert.equal(known.failed.size, hosts);
  assert.ok(Buffer.byteLength(text(ledgerJson(known))) < 1.5 * 1024 * 1024 - 64 * 1024);
});

test('the ledger keeps the beginning of what a failed host said, without half a letter', () => {
  const { offered } = virtualChannel({ maxInFlight: 1, maxFailures: 1, patienceMs: 1 });
  for (const [reason, kept] of [
    ['short', 'short'],
    ['x'.repeat(80), 'x'.repeat(80)],
    ['x'.repeat(81), `${'x'.repeat(79)}…`],
    [`${'x'.repeat(78)}😀😀`, `${'x'.repeat(78)}…`],
  ] as const) {
    const known = ledgerFrom(undefined);
    const outcome = { at: '2030-01-01T00:00:00Z', result: 'rolled-back', version: '2.0' as Version, reason } as const;
    answerCheckIn(checkInOf(0, { outcome }), undefined, offered, known, START);
    assert.deepEqual([...known.failed.values()], [{ reason: kept }]);
  }
});
