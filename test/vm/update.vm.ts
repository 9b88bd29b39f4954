/** Scenario 1: a machine updates itself from slot a to b and back to a. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertSettled, destroyOther, entries, statusOf, update } from './guest.ts';
import { inLab } from './lab.ts';

test('version 1 in slot a becomes 2 in b, then 3 in a with a stock initrd, with the old slot destroyed each time', () =>
  inLab('update', {}, async (lab) => {
    const { machine } = lab;
    await destroyOther(machine, 'a');
    await assertSettled(machine, await update(lab, '2'), 'b', '2');

    // What is left of version 1 can no longer start: were 3 not to work, this machine would be lost.
    await destroyOther(machine, 'b');
    await assertSettled(machine, await update(lab, '3'), 'a', '3');
    assert.deepEqual(await entries(machine), ['tandem-ref_2.efi', 'tandem-ref_3.efi']);

    const status = await statusOf(machine);
    assert.equal(status.booted, 'a');
    assert.equal(status.running?.version, '3');
    assert.equal(status.confirmed, true);
    assert.deepEqual(status.refused, []);
    assert.equal(machine.boots, 2, 'one start for each update');
  }));
