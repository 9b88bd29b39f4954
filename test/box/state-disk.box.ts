/** /var is full or cannot be written: a trial is proven and confirmed all the same, and written down when there is room. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inLab } from './lab.ts';

/** Before the agent starts, something in the new system fills /var to its last kilobyte. */
const FILLS = {
  'usr/bin/fill':
    '#!/bin/sh\nfor size in 64k 1k; do dd if=/dev/zero of=/var/fill-$size bs=$size; done 2>/dev/null\nexit 0\n',
  'etc/systemd/system/tandem-agent.service.d/fill.conf': '[Service]\nExecStartPre=+/usr/bin/fill\n',
};

test('a release on trial is confirmed although /var is full, and rests when there is room', () =>
  inLab({}, async ({ box, release, offer }) => {
    await release({ version: '2', files: FILLS });
    await offer('2');
    await box.until('2 is confirmed', ({ running, confirmed }) => running?.version === '2' && confirmed === true);
    await box.until('the disk is named', ({ lastError }) => lastError?.code === 'state-unwritable');
    await box.run('rm /var/fill-*');
    await box.until('it rests', ({ state }) => state.kind === 'idle', 90_000);
    const { refused } = await box.status();
    assert.deepEqual([box.versions, refused], [['1', '2'], []]);
  }));

test('a release on trial is confirmed although /var is read-only', () =>
  inLab({}, async ({ box, release, offer }) => {
    await release({
      version: '2',
      files: {
        'usr/bin/protect':
          '#!/bin/sh\n[ ! -e /run/protected ] && touch /run/protected && mount -o remount,ro /var\nexit 0\n',
        'etc/systemd/system/tandem-agent.service.d/protect.conf': '[Service]\nExecStartPre=+/usr/bin/protect\n',
      },
    });
    await offer('2');
    await box.until('2 is confirmed', ({ running, confirmed }) => running?.version === '2' && confirmed === true);
    await box.remount('var', 'rw');
    // Else it would try again in a minute.
    await box.run('systemctl restart tandem-agent.service');
    await box.settled('b', '2');
    assert.deepEqual(box.versions, ['1', '2']);
  }));
