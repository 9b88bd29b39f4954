/** A system starts without its ESP mounted. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { inLab } from './lab.ts';

test('a proven system that starts without its ESP mounted is not on trial, and updates again when it is there', () =>
  inLab({}, async ({ box, release, offer }) => {
    await release({ version: '2' });
    await box.plugEsp(false);
    await box.powerCut();
    await box.powerOn();
    const { state, refused } = await box.until('the ESP is missed', ({ lastError }) => lastError !== undefined);
    assert.equal(state.kind, 'idle');
    assert.deepEqual(refused, []);
    assert.match(await box.attempt('updatectl status'), /boot-partition-missing/);
    await box.plugEsp(true);
    await box.powerCut();
    await box.powerOn();
    await box.settled('a', '1');
    assert.doesNotMatch(await history(box), /"updated"/, 'no attempt was made, so none has ended');
    await offer('2');
    await box.settled('b', '2');
  }));

const history = (box: { var(path: string): string }): Promise<string> =>
  readFile(box.var('lib/tandem/history.jsonl'), 'utf8').catch(() => '');
