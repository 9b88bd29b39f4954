/** Scenario 6: a machine updates itself from what it runs, by a patch and then block by block. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertSettled, destroyOther, update } from './guest.ts';
import { inLab, type Lab } from './lab.ts';
import { PRODUCT } from './releases.ts';
import { addDeltas } from './repository.ts';

test('version 1 becomes 2 by a patch, then 3 block by block, and the large image is never fetched', () =>
  inLab('delta', {}, async (lab) => {
    const { machine, repository } = lab;
    await addDeltas(repository, '2', PRODUCT, 1);
    await addDeltas(repository, '3', PRODUCT, 0);

    await destroyOther(machine, 'a');
    await assertSettled(machine, await update(lab, '2'), 'b', '2');
    const patch = fetched(lab, /\.2\.from-1\.patch$/);
    assert.ok(patch.requests > 0, 'the patch was fetched');
    assert.equal(fetched(lab, /\.blocks$/).requests, 0, 'and no blocks');

    lab.web.requests.length = 0;
    await destroyOther(machine, 'b');
    await assertSettled(machine, await update(lab, '3'), 'a', '3');
    assert.ok(fetched(lab, /\.3\.blocks$/).requests > 0, 'blocks were fetched');
    assert.equal(fetched(lab, /\.patch$/).requests, 0, 'and no patch');

    const { output } = await machine.attempt('journalctl -u tandem-agent -o cat | grep -c "falling to the next tier"');
    assert.equal(output.trim(), '0', 'every tier did its work at the first attempt');
  }));

/** What was asked for: whole files count as such. */
function fetched({ web }: Lab, file: RegExp): { requests: number } {
  return { requests: web.requests.filter((line) => file.test(line.split(' ')[1] ?? '')).length };
}
