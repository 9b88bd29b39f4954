/** Nothing is mounted where the ESP belongs: that is named, and no more is concluded from it. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inLab } from './lab.ts';

test('a proven host without its ESP is not on trial, writes nothing down, and goes on when it is there', () =>
  inLab({}, async ({ box, release, offer }) => {
    await box.settled('a', '1');
    const state = await readFile(box.var('lib/tandem/state.json'), 'utf8');
    await box.powerCut();
    await box.plugEsp(false);
    await box.powerOn();
    const status = await box.until('the ESP is missed', ({ lastError }) => lastError !== undefined);
    assert.deepEqual([status.lastError?.code, status.state.kind], ['boot-partition-missing', 'idle']);
    assert.match(await box.attempt('updatectl explain'), /is the boot partition mounted on \/efi\?/);
    assert.match(await box.attempt('updatectl doctor'), /✗ +boot entries .*\/efi/);
    assert.equal(await readFile(box.var('lib/tandem/state.json'), 'utf8'), state);
    await box.powerCut();
    await box.plugEsp(true);
    await box.powerOn();
    await box.settled('a', '1');
    assert.doesNotMatch(await box.run('updatectl history'), /updated/);
    await release({ version: '2' });
    await offer('2');
    await box.settledAgain('b', '2');
  }));
