/** Scenario 4, first half: the emulator is killed at moments spread over a whole update. N=100 for more of them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertSettled, awaitState, checkNow, UPDATE_MS } from './guest.ts';
import { inLab, type Lab } from './lab.ts';
import type { Ready } from './machine.ts';

const CUTS = Number(process.env['N'] ?? 10);

test(`after each of ${CUTS} power cuts the machine starts again, runs 1 or 2, and finishes the update without help`, async (t) => {
  const lengthMs = await uncut();
  t.diagnostic(`an update without a power cut took ${Math.round(lengthMs / 1000)} s`);
  for (let number = 1; number <= CUTS; number += 1) {
    const atMs = (lengthMs * (number - 0.5)) / CUTS;
    await t.test(`cut ${number}, ${(atMs / 1000).toFixed(1)} s after the offer`, (one) =>
      inLab(`cut-${number}`, {}, async (lab) => one.diagnostic(await cutAt(lab, atMs))),
    );
  }
});

/** How long it takes from the offer until the new system is settled. */
async function uncut(): Promise<number> {
  let length = 0;
  await inLab('uncut', {}, async (lab) => {
    const started = await begin(lab);
    await assertSettled(lab.machine, await lab.machine.awaitReady(UPDATE_MS), 'b', '2');
    length = performance.now() - started;
  });
  return length;
}

async function begin({ machine, offer }: Lab): Promise<number> {
  await awaitState(machine, 'idle');
  await offer('2');
  machine.forgetOutput();
  const started = performance.now();
  await checkNow(machine);
  return started;
}

async function cutAt(lab: Lab, atMs: number): Promise<string> {
  const { machine } = lab;
  const started = await begin(lab);
  await sleep(started + atMs - performance.now());
  await machine.powerCut();
  machine.forgetOutput();
  machine.powerOn();
  const first = await machine.awaitReady(UPDATE_MS);
  let last: Ready = first;
  // It may come up in 1 and go on with the update, or come up in 2 and have only to settle.
  while (last.version === '1') last = await machine.awaitReady(UPDATE_MS);
  for (const { text } of machine.log.lines) assert.doesNotMatch(text, /@@READY .* version=(?![12] )/);
  await assertSettled(machine, last, 'b', '2');
  return `came up in ${first.version}; ${machine.boots} starts`;
}
