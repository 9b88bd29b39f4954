/** The history says how a machine came to where it is, and no more than is known. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { journeyFrom } from '../../../src/agent/restart/journey.ts';
import type { Departure } from '../../../src/model.ts';
import type { Exec } from '../../../src/system/process/exec.ts';

const STARTED_MS = 9_000;
const DEPARTURE: Departure = {
  method: 'soft',
  reason: 'kernel, initrd and command line stay the same',
  at: '2026-01-01T00:00:00.000Z',
  uptimeMs: 1,
  bootId: 'one',
};

function journey(departure: Departure, bootId: string, now = '2026-01-01T02:00:09.000Z') {
  const exec: Exec = async (_, args) => ({
    exitCode: 0,
    stdout: args.includes('--') ? `Id=default.target\nActiveEnterTimestampMonotonic=${STARTED_MS * 1000}` : '',
    stderr: '',
    timedOut: false,
  });
  const world = {
    exec,
    files: { read: async () => undefined },
    clock: { now: () => new Date(now), sleep: async () => {} },
    signal: new AbortController().signal,
  };
  return journeyFrom(departure, bootId, world, () => STARTED_MS);
}

test('who has arrived as he left is told why, and how long it took', async () => {
  assert.deepEqual(await journey(DEPARTURE, 'one'), {
    method: 'soft',
    methodReason: DEPARTURE.reason,
    downtime: { ms: 8_999, clock: 'exact' },
  });
});

test('a jump that ended in the firmware has another reason, and no downtime: a trial may have run in between', async () => {
  assert.deepEqual(await journey(DEPARTURE, 'two'), {
    method: 'firmware',
    methodReason: 'soft was used, but did not lead here',
  });
  const { method, downtime } = await journey({ ...DEPARTURE, method: 'firmware' }, 'two', '2026-01-01T00:00:20.000Z');
  assert.deepEqual([method, downtime], ['firmware', { ms: 20_000, clock: 'wall' }]);
});
