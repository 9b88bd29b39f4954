/** Scenario: a machine that GRUB starts updates itself, and comes back from a release that cannot start after all of its tries. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { awaitState, statusOf, update } from './guest.ts';
import { inLab } from './lab.ts';
import type { Machine, Ready } from './machine.ts';

test('GRUB starts version 2 from slot b, tries one that panics three times, and starts 2 again', () =>
  inLab('grub', { loader: 'grub' }, async (lab) => {
    const { machine } = lab;
    await settled(machine, await update(lab, '2'), 'b', '2');
    const after = await environment(machine, 'grubenv');
    assert.match(after, /^ORDER=b a\na_OK=1\na_LEFT=0\nb_OK=1\nb_LEFT=0$/m, 'slot a is the way back');
    assert.equal(await environment(machine, 'grubenv2'), after);
    assert.equal(machine.boots, 2, 'one start for the update');
    assert.equal((await statusOf(machine)).confirmed, true);

    await settled(machine, await update(lab, '4'), 'b', '2');
    assert.equal(machine.boots, 6, 'three tries and the old system');
    const lines = machine.log.lines.map(({ text }) => text);
    assert.equal(lines.filter((text) => /Kernel panic/.test(text)).length, 3);
    const starts = lines.flatMap((text) => /Starting slot ([ab])/.exec(text)?.[1] ?? []);
    assert.deepEqual(starts, ['a', 'b', 'a', 'a', 'a', 'b'], 'what GRUB says it has started');
    assert.match(await environment(machine, 'grubenv'), /^ORDER=(b|a b)\na_OK=0\na_LEFT=0\nb_OK=1\nb_LEFT=0$/m);
    assert.ok(!lines.some((text) => /^error:/.test(text)), 'GRUB complains of nothing');

    const [refusal] = (await statusOf(machine)).refused;
    assert.equal(refusal?.version, '4');
    await machine.attempt('updatectl check');
    assert.equal(machine.boots, 6, 'the same release is not taken again');
  }));

async function settled(machine: Machine, ready: Ready, slot: string, version: string): Promise<void> {
  assert.deepEqual([ready.slot, ready.version], [slot, version]);
  await awaitState(machine, 'idle');
}

const environment = (machine: Machine, file: string): Promise<string> => machine.run(`cat /efi/EFI/tandem/${file}`);
