/** The power fails during a trial. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HEALTH, inLab } from './lab.ts';

const WAITS = { [`${HEALTH}/required/10-waits`]: '#!/bin/sh\nuntil [ -e /var/go ]; do sleep 0.1; done\n' };

test('one power cut during a trial costs a try and nothing else', () =>
  inLab({}, async ({ box, release, offer }) => {
    await release({ version: '2', files: WAITS });
    await offer('2');
    await box.awaitState('trial');
    await box.powerCut();
    await box.powerOn();
    await box.awaitState('trial');
    await box.run('touch /var/go');
    await box.settled('b', '2');
    assert.deepEqual(box.versions, ['1', '2', '2']);
  }));
