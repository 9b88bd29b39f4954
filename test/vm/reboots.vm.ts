/** Scenario: restarts past the boot loader, and what becomes of them when the new system is no good or the power fails. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Method, SlotName } from '../../src/model.ts';
import type { HistoryReply } from '../../src/protocol.ts';
import { assertSettled, cut, statusOf, UPDATE_MS, update } from './guest.ts';
import { inLab, type Lab } from './lab.ts';
import type { Machine, Ready } from './machine.ts';

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
    assert.deepEqual(await wentBy(machine), { result: 'updated', method: 'soft', clock: 'exact' });
    const failed = await machine.run("systemctl list-units --failed --plain --no-legend | cut -d ' ' -f 1");
    assert.equal(failed, 'backup.service\nyesterday.service', 'none of the new system has failed');

    // Slot a is written again, from which the kernel was started: its device must be gone by then.
    const trial = await update(lab, '6');
    assert.deepEqual([trial.slot, trial.version, trial.bootId], ['a', '6', before.bootId]);
    await fallsBack(lab, trial, 'b', '2');
    assert.equal((await wentBy(machine)).result, 'rolled-back');
  }));

test('a soft reboot that loses power goes on as a cold start would; one that panics in a system whose agent cannot start falls back', () =>
  inLab('soft-cut', { method: 'soft' }, async (lab) => {
    const { machine } = lab;
    const trial = await update(lab, '2');
    assert.deepEqual([trial.slot, trial.version, machine.boots], ['b', '2', 0]);
    await assertSettled(machine, await cut(machine), 'b', '2');
    assert.equal(machine.boots, 1, 'the boot loader had tries left for it');

    const mute = await update(lab, '7');
    assert.deepEqual([mute.slot, mute.version, machine.boots], ['a', '7', 1]);
    await fallsBack(lab, await panic(machine), 'b', '2');
    assert.equal(tries(machine, '7'), 3, 'the soft reboot was counted as one of three tries');
  }));

test('kexec starts a new kernel without the firmware; one that panics, and one that loses power, are counted and fall back', () =>
  inLab('kexec', { method: 'kexec' }, async (lab) => {
    const { machine } = lab;
    const before = await systemOf(machine);
    const trial = await update(lab, '2');
    assert.deepEqual([trial.slot, trial.version, machine.boots], ['b', '2', 0], 'the firmware was not started');
    assert.notEqual(trial.bootId, before.bootId, 'the kernel is a new one');
    assert.match(await machine.run('cat /proc/cmdline'), /tandem\.kexecs=1/);
    await assertSettled(machine, await cut(machine), 'b', '2');
    assert.equal(machine.boots, 1);
    assert.equal((await wentBy(machine)).method, 'firmware', 'the way it came up in the end');

    const ready = await update(lab, '4');
    await assertSettled(machine, ready, 'b', '2');
    assert.equal(machine.log.lines.filter(({ text }) => /Kernel panic/.test(text)).length, 3);
    assert.equal(machine.boots, 4, 'one try by kexec, two by the boot loader, and the old system');
    assert.equal((await statusOf(machine)).refused[0]?.version, '4');
    assert.equal((await wentBy(machine)).result, 'rolled-back');
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

type System = Readonly<{ bootId: string; uptimeS: number; var: string }>;

async function systemOf(machine: Machine): Promise<System> {
  const said = await machine.run('cat /proc/sys/kernel/random/boot_id /proc/uptime; stat -c %d /var/lib');
  const [bootId = '', uptime = '', device = ''] = said.trim().split('\n');
  return { bootId, uptimeS: Number.parseFloat(uptime), var: device };
}

type Way = Readonly<{ result: string; method: Method | undefined; clock: string | undefined }>;

/** What the agent remembers of the last attempt. */
async function wentBy(machine: Machine): Promise<Way> {
  const { entries } = JSON.parse(await machine.run('updatectl history --json')) as HistoryReply;
  const [last] = entries;
  return { result: last?.result ?? 'none', method: last?.method, clock: last?.downtime?.clock };
}
