/** A host that is ill stays up, and is asked again after a minute. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHealthGate } from '../../../src/reboot/gates/health.ts';

const at = (second: number): Date => new Date(Date.UTC(2026, 2, 4, 12, 0, second));

test('an ill system objects with the failed probe, a healthy one does not', async () => {
  const reason = 'systemd units: ceph-osd@3.service has failed\nand more';
  const ill = await createHealthGate(async () => ({ ok: false, reason })).verdict(at(0));
  assert.deepEqual(ill, {
    ok: false,
    code: 'host-unhealthy',
    strength: 'soft',
    reason: 'the running system is unhealthy: systemd units: ceph-osd@3.service has failed and more',
    next: at(60),
    command: 'updatectl apply',
  });
  assert.equal((await createHealthGate(async () => ({ ok: true })).verdict(at(0))).ok, true);
});

test('an answer holds for a minute, and not when the clock was set back', async () => {
  let asked = 0;
  const gate = createHealthGate(async () => {
    asked += 1;
    return { ok: false, reason: 'x' };
  });
  for (const second of [0, 30, 59]) await gate.verdict(at(second));
  assert.equal(asked, 1);
  await gate.verdict(at(60));
  assert.equal(asked, 2);
  await gate.verdict(at(10));
  assert.equal(asked, 3);
});
