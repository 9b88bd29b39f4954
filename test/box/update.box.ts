/** A whole update and back, with times. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inLab } from './lab.ts';

test('version 1 in slot a becomes 2 in b, then 3 in a', (t) =>
  inLab({}, async ({ box, release, offer }) => {
    for (const [version, slot] of [
      ['2', 'b'],
      ['3', 'a'],
    ] as const) {
      await release({ version });
      const begun = performance.now();
      await offer(version);
      await box.settled(slot, version);
      t.diagnostic(`version ${version} rests ${seconds(begun)} after the offer`);
    }
    assert.deepEqual(
      box.boots.map(({ version, end }) => [version, end]),
      [
        ['1', 'restarts'],
        ['2', 'restarts'],
        ['3', undefined],
      ],
    );
  }));

const seconds = (begun: number): string => `${((performance.now() - begun) / 1000).toFixed(1)} s`;
