/** Scenario 2: releases whose kernel or root cannot start. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertSettled, entries, statusOf, update } from './guest.ts';
import { inLab, type Lab } from './lab.ts';

test('a release whose kernel panics is tried three times, refused and not tried again', () =>
  inLab('panic', {}, (lab) => fallsBack(lab, '4', /Kernel panic/, 3)));

test('a release whose root has no system is tried as often as the configuration says, refused and not tried again', () =>
  inLab('no-init', { tries: 2 }, (lab) => fallsBack(lab, '5', /cannot start systemd/, 2)));

async function fallsBack(lab: Lab, version: string, symptom: RegExp, tries: number): Promise<void> {
  const { machine } = lab;
  await assertSettled(machine, await update(lab, version), 'a', '1');
  assert.equal(machine.boots, tries + 1, 'the tries and the old system');
  const seen = machine.log.lines.filter((line) => symptom.test(line.text));
  assert.equal(seen.length, tries);

  const status = await statusOf(machine);
  assert.equal(status.running?.version, '1');
  const [refusal] = status.refused;
  assert.equal(refusal?.version, version);
  assert.match(refusal?.reason ?? '', /did not start/, 'status says why');

  await machine.attempt('updatectl check');
  const again = await statusOf(machine);
  assert.equal(again.state.kind, 'idle', 'the same release is not taken again');
  assert.equal(again.running?.version, '1');
  assert.equal(machine.boots, tries + 1);
  assert.ok(!(await entries(machine)).some((name) => name.includes(`_${version}.efi`)), 'it is not a default');
}
