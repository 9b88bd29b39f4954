/** systemd's own view of a system on trial. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inLab } from './lab.ts';

const UNITS = 'usr/lib/systemd/system';
const FAILS = {
  [`${UNITS}/broken.service`]: '[Service]\nType=oneshot\nExecStart=/bin/false\n',
  'etc/systemd/system/multi-user.target.d/broken.conf': '[Unit]\nWants=broken.service\n',
};

test('a unit that fails only in the new release condemns it', () =>
  inLab({}, async ({ box, release, offer }) => {
    await release({ version: '2', files: FAILS });
    await offer('2');
    const { refused } = await box.settledAgain('a', '1');
    assert.deepEqual([refused[0]?.code, refused[0]?.reason.includes('broken.service')], ['unhealthy', true]);
  }));
