/** Scenario 3: releases that start and are no good. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertSettled, checkNow, statusOf, UPDATE_MS, update } from './guest.ts';
import { inLab } from './lab.ts';

test('a release that fails its health check is rolled back by its own agent and refused', () =>
  inLab('unhealthy', {}, async (lab) => {
    const { machine } = lab;
    const trial = await update(lab, '6');
    assert.deepEqual([trial.slot, trial.version], ['b', '6']);
    // On a slow emulator the dead man's timer may restart the trial before the agent has its verdict; the verdict must still come.
    let ready = await machine.awaitReady(UPDATE_MS);
    while (ready.version === '6') ready = await machine.awaitReady(UPDATE_MS);
    await assertSettled(machine, ready, 'a', '1');
    const [refusal] = (await statusOf(machine)).refused;
    assert.equal(refusal?.version, '6');
    assert.equal(refusal?.code, 'unhealthy', 'the agent itself has condemned it');
    assert.match(refusal?.reason ?? '', /10-database/, 'status names the program that failed');
  }));

test('a release in which the agent cannot start is ended by the dead man’s timer and refused', () =>
  inLab('mute', {}, async (lab) => {
    const { machine } = lab;
    const trial = await update(lab, '7');
    assert.deepEqual([trial.slot, trial.version], ['b', '7']);
    // The timer restarts it, until the boot loader has used up its tries and falls back.
    let ready = trial;
    while (ready.version === '7') ready = await machine.awaitReady(UPDATE_MS);
    await assertSettled(machine, ready, 'a', '1');
    assert.equal((await statusOf(machine)).refused[0]?.version, '7');
  }));

test('a release that cannot mount the state is ended by the dead man’s timer and refused', () =>
  inLab('no-state', {}, async (lab) => {
    const { machine } = lab;
    await lab.offer('11');
    const boots = machine.boots;
    await checkNow(machine);
    const ready = await machine.awaitReady(UPDATE_MS);
    await assertSettled(machine, ready, 'a', '1');
    assert.ok(machine.boots > boots + 1, 'it has been started');
    assert.equal((await statusOf(machine)).refused[0]?.version, '11');
  }));
