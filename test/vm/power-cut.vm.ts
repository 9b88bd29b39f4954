/** Scenario 4, first half: the emulator is killed at moments spread over a whole update. N=100 for more of them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertSettled, awaitState, checkNow, cut, UPDATE_MS } from './guest.ts';
import { inLab, type Lab } from './lab.ts';

const CUTS = Number(process.env['N'] ?? 4);
/** Each machine loses its power twice: emulated ones are slow, and the second cut meets an update that was resumed. */
const MACHINES = Math.ceil(CUTS / 2);

test(`after each of ${2 * MACHINES} power cuts the machine starts again, runs 1 or 2, and finishes the update without help`, async (t) => {
  const lengthMs = await uncut();
  t.diagnostic(`an update without a power cut took ${seconds(lengthMs)}`);
  for (let number = 0; number < MACHINES; number += 1) {
    const first = (lengthMs * (number + 0.5)) / (2 * MACHINES);
    const further = lengthMs / 2;
    await t.test(`cuts ${seconds(first)} after the offer and ${seconds(further)} of work later`, (one) =>
      inLab(`cut-${number + 1}`, {}, async (lab) => one.diagnostic(await cutTwice(lab, first, further))),
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

async function cutTwice(lab: Lab, firstMs: number, furtherMs: number): Promise<string> {
  const { machine } = lab;
  await sleep((await begin(lab)) + firstMs - performance.now());
  const first = await cut(machine);
  await sleep(furtherMs);
  let last = await cut(machine);
  const second = last.version;
  // It may come up in 1 and go on with the update, or come up in 2 and have only to settle.
  while (last.version === '1') last = await machine.awaitReady(UPDATE_MS);
  for (const { text } of machine.log.lines) assert.doesNotMatch(text, /@@READY .* version=(?![12] )/);
  await assertSettled(machine, last, 'b', '2');
  return `came up in ${first.version}, then in ${second}; ${machine.boots} starts`;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
