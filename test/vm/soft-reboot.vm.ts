/** Scenario: soft reboots, and what becomes of them when the new system is no good or the power fails. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SlotName } from '../../src/model.ts';
import { assertSettled, cut, statusOf, UPDATE_MS, update } from './guest.ts';
import { inLab, type Lab } from './lab.ts';
import type { Machine, Ready } from './machine.ts';
import { attempts, systemOf } from './methods.ts';

const JOB = 'systemd-run --quiet --property=Type=oneshot';
test('a soft reboot keeps the kernel and what is below /var, lets go of the old slot, and its failed trial ends in the old system', () =>
  inLab('soft', { method: 'soft' }, async (lab) => {
    const { machine } = lab;
    const before = await systemOf(machine);
    await machine.run('echo carried >/var/lib/carried');
    // Neither what failed yesterday nor what is killed with the old system is the new one's fault.
    await machine.attempt(`${JOB} --unit=yesterday false`);
    await machine.run(`${JOB} --no-block --unit=backup sleep 3600`);
    assert.equal(
      await machine.run('systemctl show --property=ActiveState --value yesterday backup'),
      'failed\n\nactivating',
    );

    const ready = await update(lab, '2');
    await assertSettled(machine, ready, 'b', '2');
    assert.equal(machine.boots, 0, 'the firmware was not started');
    const after = await systemOf(machine);
    assert.equal(after.bootId, before.bootId, 'the kernel is the same');
    assert.ok(after.uptimeS > before.uptimeS);
    assert.equal(after.var, before.var, 'the same file system below /var');
    assert.equal(await machine.run('cat /var/lib/carried'), 'carried');
    const [way] = await attempts(machine);
    assert.deepEqual([way?.result, way?.method, way?.clock], ['updated', 'soft', 'exact']);
    const failed = await machine.run("systemctl list-units --failed --plain --no-legend | cut -d ' ' -f 1");
    assert.equal(failed, 'backup.service\nyesterday.service', 'none of the new system has failed');

    // Slot a is written again, from which the kernel was started: its device must be gone by then.
    const trial = await update(lab, '6');
    assert.deepEqual([trial.slot, trial.version, trial.bootId], ['a', '6', before.bootId]);
    await fallsBack(lab, trial, 'b', '2');
    assert.equal((await attempts(machine))[0]?.result, 'rolled-back');
  }));

test('a soft reboot that loses power goes on as a cold start, and is tried once more when that is lost, too; one that panics falls back', () =>
  inLab('soft-cut', { method: 'soft', tries: 2 }, async (lab) => {
    const { machine } = lab;
    const trial = await update(lab, '2');
    assert.deepEqual([trial.slot, trial.version, machine.boots], ['b', '2', 0]);
    const cold = await cut(machine);
    assert.deepEqual([cold.slot, cold.version, machine.boots], ['b', '2', 1], 'the boot loader had a try left for it');
    const old = await cut(machine);
    assert.deepEqual([old.slot, old.version, machine.boots], ['a', '1', 2], 'and no other');
    const again = await machine.awaitReady(UPDATE_MS);
    assert.deepEqual([again.slot, again.version, again.bootId], ['b', '2', old.bootId], 'by itself, the same way');
    await assertSettled(machine, await cut(machine), 'b', '2');
    assert.equal(machine.boots, 3);
    const [last, lost] = await attempts(machine);
    assert.deepEqual([last?.result, last?.method], ['updated', 'firmware'], 'the way it came up in the end');
    assert.deepEqual([lost?.result, lost?.code], ['rolled-back', 'trial-lost']);
    assert.deepEqual((await statusOf(machine)).refused, [], 'lost power is not the release’s fault');

    const mute = await update(lab, '7');
    assert.deepEqual([mute.slot, mute.version, machine.boots], ['a', '7', 3]);
    await fallsBack(lab, await panic(machine), 'b', '2');
    assert.equal(tries(machine, '7'), 2, 'the soft reboot was counted as one of two tries');
    assert.equal(machine.boots, 5, 'the dead man’s timer ended the other, and the boot loader fell back');
  }));

/** Whatever starts until then is the system on trial; in the end the old one runs and has refused it. */
async function fallsBack({ machine }: Lab, trial: Ready, slot: SlotName, version: string): Promise<void> {
  let ready = trial;
  while (ready.version === trial.version) ready = await machine.awaitReady(UPDATE_MS);
  await assertSettled(machine, ready, slot, version);
  assert.equal((await statusOf(machine)).refused[0]?.version, trial.version);
}

/** The kernel that was carried over panics under the new system. */
async function panic(machine: Machine): Promise<Ready> {
  machine.forgetOutput();
  await machine.type('echo c >/proc/sysrq-trigger');
  await machine.awaitLine(/Kernel panic/);
  return machine.awaitReady(UPDATE_MS);
}

/** How often a version has come up, by whichever way. */
const tries = ({ log }: Machine, version: string): number =>
  log.lines.filter(({ text }) => text.includes('@@READY ') && text.includes(` version=${version} `)).length;
