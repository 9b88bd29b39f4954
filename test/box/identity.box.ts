/** Hosts that were made from one image and have no machine ID in it. */

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';
import type { Box } from './box.ts';
import { inLab, type Lab } from './lab.ts';

test('two hosts from one image keep their own machine IDs over an update, a power cut and a rollback', () =>
  inLab({ machineId: 'own' }, (one) =>
    inLab({ machineId: 'own', companionOf: one }, async (two) => {
      const boxes = [one.box, two.box];
      const ids = await idsOf(boxes);
      assert.equal(new Set(ids).size, 2);
      await one.release({ version: '2' });
      await updateBoth(one, two);
      assert.deepEqual(await idsOf(boxes), ids, 'after the update');
      for (const box of boxes) {
        await box.powerCut();
        await box.powerOn();
        await box.settled('b', '2');
      }
      assert.deepEqual(await idsOf(boxes), ids, 'after the power cut');
      for (const box of boxes) {
        // It restarts the host, which may take the connection away from the command.
        await box.attempt('updatectl rollback');
        await box.settled('a', '1');
      }
      assert.deepEqual(await idsOf(boxes), ids, 'after the rollback');
    }),
  ));

test('a factory reset gives a host another machine ID', () =>
  inLab({ machineId: 'own' }, async ({ box }) => {
    const [before] = await idsOf([box]);
    await box.powerCut();
    await rm(box.var('lib/tandem'), { recursive: true });
    await box.powerOn();
    await box.settled('a', '1');
    const [after] = await idsOf([box]);
    assert.notEqual(after, before);
    await box.powerCut();
    await box.powerOn();
    await box.settled('a', '1');
    assert.deepEqual(await idsOf([box]), [after]);
  }));

async function updateBoth(one: Lab, two: Lab): Promise<void> {
  await one.offer('2');
  await two.box.check();
  for (const { box } of [one, two]) await box.settled('b', '2');
}

async function idsOf(boxes: readonly Box[]): Promise<string[]> {
  const ids = [];
  for (const box of boxes) {
    const id = (await box.run('cat /etc/machine-id')).trim();
    assert.match(id, /^[0-9a-f]{32}$/);
    ids.push(id);
  }
  return ids;
}
