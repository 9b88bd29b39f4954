/** Scenario: a machine updates itself from slot a to b and back to a, from what it runs: by a patch, then block by block. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertSettled, destroyOther, entries, statusOf, update } from './guest.ts';
import { inLab, type Lab } from './lab.ts';
import { PRODUCT } from './releases.ts';
import { addDeltas } from './repository.ts';

test('version 1 in slot a becomes 2 in b by a patch, then 3 in a block by block and with a stock initrd, over a slot that was destroyed each time', () =>
  inLab('update', {}, async (lab) => {
    const { machine, repository } = lab;
    await addDeltas(repository, '2', PRODUCT, 1);
    await addDeltas(repository, '3', PRODUCT, 0);

    await destroyOther(machine, 'a');
    await assertSettled(machine, await update(lab, '2'), 'b', '2');
    assert.ok(requestsFor(lab, /\.2\.from-1\.patch$/) > 0, 'the patch was fetched');
    assert.equal(requestsFor(lab, /\.blocks$/), 0, 'and no blocks');

    // What is left of version 1 can no longer start: were 3 not to work, this machine would be lost.
    lab.web.requests.length = 0;
    await destroyOther(machine, 'b');
    await assertSettled(machine, await update(lab, '3'), 'a', '3');
    assert.ok(requestsFor(lab, /\.3\.blocks$/) > 0, 'blocks were fetched');
    assert.equal(requestsFor(lab, /\.patch$/), 0, 'and no patch');
    assert.deepEqual(await entries(machine), ['tandem-ref_2.efi', 'tandem-ref_3.efi']);

    const status = await statusOf(machine);
    assert.equal(status.booted, 'a');
    assert.equal(status.running?.version, '3');
    assert.equal(status.confirmed, true);
    assert.deepEqual(status.refused, []);
    assert.equal(machine.boots, 2, 'one start for each update');
    const { output } = await machine.attempt(
      'journalctl -u tandem-agent -o cat | grep -c "falling back to the next tier"',
    );
    assert.equal(output.trim(), '0', 'every tier did its work at the first attempt');
  }));

const requestsFor = ({ web }: Lab, file: RegExp): number =>
  web.requests.filter((line) => file.test(line.split(' ')[1] ?? '')).length;
