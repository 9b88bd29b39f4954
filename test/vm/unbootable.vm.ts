/** Scenario: releases that never get as far as an agent, started by the firmware alone. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertSettled, checkNow, entries, statusOf, UPDATE_MS, update } from './guest.ts';
import { inLab } from './lab.ts';

const TRIES = 2;

test('a release whose kernel panics is tried as often as the configuration says, refused and not tried again', () =>
  inLab('panic', { tries: TRIES }, async (lab) => {
    const { machine } = lab;
    await assertSettled(machine, await update(lab, '4'), 'a', '1');
    assert.equal(machine.boots, TRIES + 1, 'the tries and the old system');
    assert.equal(machine.log.lines.filter(({ text }) => /Kernel panic/.test(text)).length, TRIES);

    const status = await statusOf(machine);
    assert.equal(status.running?.version, '1');
    const [refusal] = status.refused;
    assert.equal(refusal?.version, '4');
    assert.match(refusal?.reason ?? '', /did not start/, 'status says why');

    await machine.attempt('updatectl check');
    const again = await statusOf(machine);
    assert.equal(again.state.kind, 'idle', 'the same release is not taken again');
    assert.equal(again.running?.version, '1');
    assert.equal(machine.boots, TRIES + 1);
    assert.ok(!(await entries(machine)).some((name) => name.includes('_4.efi')), 'it is not a default');
  }));

test('a release that cannot mount the state is ended by the dead man’s timer and refused', () =>
  inLab('no-state', { tries: TRIES }, async (lab) => {
    const { machine } = lab;
    await lab.offer('11');
    const boots = machine.boots;
    await checkNow(machine);
    const ready = await machine.awaitReady(UPDATE_MS);
    await assertSettled(machine, ready, 'a', '1');
    assert.equal(machine.boots, boots + TRIES + 1, 'the tries and the old system');
    assert.equal((await statusOf(machine)).refused[0]?.version, '11');
  }));
