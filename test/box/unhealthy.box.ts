/** Releases that start and are no good. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inLab } from './lab.ts';

const FAILS = '#!/bin/sh\necho "the database does not answer" >&2\nexit 1\n';

test('a release that fails its health check goes back to the old one by itself, is refused and not tried again', (t) =>
  inLab({}, async ({ box, release, offer }) => {
    await release({ version: '2', files: { 'usr/lib/tandem/health.d/required/10-database': FAILS } });
    const begun = performance.now();
    await offer('2');
    const { refused } = await box.settledAgain('a', '1');
    t.diagnostic(`back in version 1 ${((performance.now() - begun) / 1000).toFixed(1)} s after the offer`);
    assert.equal(refused.length, 1);
    assert.deepEqual([refused[0]?.version, refused[0]?.code], ['2', 'unhealthy']);
    assert.match(refused[0]?.reason ?? '', /10-database.*the database does not answer/);

    await box.check();
    await box.settled('a', '1');
    assert.deepEqual(box.versions, ['1', '2', '1'], 'it is not tried again');
  }));

test('a release whose kernel panics is tried three times and refused', () =>
  inLab({}, async ({ box, release, offer }) => {
    await release({ version: '2', panics: true });
    await offer('2');
    const { refused } = await box.settledAgain('a', '1');
    assert.deepEqual([refused[0]?.version, refused[0]?.code], ['2', 'boot-failed']);
    assert.deepEqual(box.versions, ['1', '2', '2', '2', '1'], 'its three tries, and the old system');
  }));

test('a release in which the agent cannot start is ended by the dead man’s timer at each of its tries, and refused', () =>
  inLab({ config: '[boot]\ntries = 2\n' }, async ({ box, release, offer }) => {
    const timer = { 'etc/systemd/system/tandem-dead-man.timer.d/soon.conf': '[Timer]\nOnActiveSec=\nOnActiveSec=3s\n' };
    await release({ version: '2', files: { ...timer, 'usr/bin/updatectl': '#!/bin/sh\nexit 1\n' } });
    await offer('2');
    const { refused } = await box.settledAgain('a', '1');
    assert.deepEqual([refused[0]?.version, refused[0]?.code], ['2', 'trial-lost']);
    assert.match(refused[0]?.reason ?? '', /the dead man’s timer restarted the machine/);
    assert.deepEqual(box.versions, ['1', '2', '2', '1'], 'its two tries, and the old system');
  }));
