/** A second partition with a slot's label. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HEALTH, inLab } from './lab.ts';

const EXTRA = 7;
const WAITS = '#!/bin/sh\nuntil [ -e /var/go ]; do sleep 0.1; done\n';

test('a second partition with the free slot’s label forbids writing and nothing else, until it has another name', () =>
  inLab({ extra: ['spare'] }, async ({ box, release, offer }) => {
    await release({ version: '2' });
    await box.disk.label(EXTRA, 'root-b');
    await offer('2');
    const { lastError } = await box.until('the fault is named', (status) => status.lastError !== undefined);
    assert.equal(lastError?.code, 'slots-ambiguous');
    await box.run('systemctl restart tandem-agent.service');
    const { booted, confirmed } = await box.until('the agent is there again', () => true);
    assert.deepEqual([booted, confirmed], ['a', true]);
    await box.disk.label(EXTRA, 'spare');
    await box.check();
    await box.settled('b', '2');
  }));

for (const label of ['root-a', 'root-b'])
  test(`a second ${label} that appears during a trial does not cost the release its name`, () =>
    inLab({ extra: ['spare'] }, async ({ box, release, offer }) => {
      await release({ version: '2', files: { [`${HEALTH}/required/10-waits`]: WAITS } });
      await offer('2');
      await box.awaitState('trial');
      await box.disk.label(EXTRA, label);
      await box.run('systemctl restart tandem-agent.service');
      await box.run('touch /var/go');
      await box.settled('b', '2');
      assert.deepEqual(box.versions, ['1', '2']);
    }));
