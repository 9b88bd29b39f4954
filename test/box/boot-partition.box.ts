/** The ESP cannot be written: that is named, and costs the release nothing. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inLab } from './lab.ts';

test('a read-only ESP is named before anything is downloaded, and the release goes on when it can be written', () =>
  inLab({}, async ({ box, web, release, offer }) => {
    await release({ version: '2' });
    await box.remount('esp', 'ro');
    await offer('2');
    const { lastError, refused } = await box.until('the fault is named', (status) => status.lastError !== undefined);
    assert.equal(lastError?.code, 'boot-partition-read-only');
    assert.deepEqual(refused, []);
    assert.ok(!web.requests.some((asked) => /\.bundle bytes=\d{5}/.test(asked)), 'no image was fetched in vain');
    await box.remount('esp', 'rw');
    await box.check();
    await box.settled('b', '2');
  }));

test('a full ESP is named, keeps what runs, and the release goes on when there is room', () =>
  inLab({ espMib: 2 }, async ({ box, release, offer }) => {
    await release({ version: '2' });
    const full = 'dd if=/dev/zero of=/efi/fill bs=64k 2>/dev/null || true';
    await box.run(full);
    await offer('2');
    const { lastError } = await box.until('the fault is named', (status) => status.lastError !== undefined);
    assert.equal(lastError?.code, 'esp-full');
    assert.deepEqual(box.versions, ['1']);
    await box.run('rm /efi/fill');
    await box.check();
    await box.settled('b', '2');
  }));
