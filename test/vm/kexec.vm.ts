/** Scenario: restarts by kexec, and what becomes of them when the kernel panics or the power fails. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertSettled, cut, statusOf, UPDATE_MS, update } from './guest.ts';
import { inLab } from './lab.ts';
import { attempts, systemOf } from './methods.ts';

test('kexec starts a new kernel without the firmware; starts that lose power are tried once more, one that panics falls back', () =>
  inLab('kexec', { method: 'kexec', tries: 2 }, async (lab) => {
    const { machine } = lab;
    const before = await systemOf(machine);
    const trial = await update(lab, '2');
    assert.deepEqual([trial.slot, trial.version, machine.boots], ['b', '2', 0], 'the firmware was not started');
    assert.notEqual(trial.bootId, before.bootId, 'the kernel is a new one');
    const cold = await cut(machine);
    assert.deepEqual([cold.slot, cold.version, machine.boots], ['b', '2', 1], 'the boot loader had a try left for it');
    const old = await cut(machine);
    assert.deepEqual([old.slot, old.version, machine.boots], ['a', '1', 2], 'and no other');

    const again = await machine.awaitReady(UPDATE_MS);
    await assertSettled(machine, again, 'b', '2');
    assert.equal(machine.boots, 2, 'by itself, the same way');
    assert.match(await machine.run('cat /proc/cmdline'), /tandem\.kexecs=1/);
    const [last, lost] = await attempts(machine);
    assert.deepEqual([last?.result, last?.method], ['updated', 'kexec']);
    assert.deepEqual([lost?.result, lost?.code], ['rolled-back', 'trial-lost']);

    await assertSettled(machine, await update(lab, '4'), 'b', '2');
    assert.equal(machine.log.lines.filter(({ text }) => /Kernel panic/.test(text)).length, 2);
    assert.equal(machine.boots, 4, 'one try by kexec, one by the boot loader, and the old system');
    assert.equal((await statusOf(machine)).refused[0]?.version, '4');
    assert.equal((await attempts(machine))[0]?.result, 'rolled-back');
  }));
