/** What an operator lets the agent forget is one thing at a time, and is told. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forget } from '../../../src/agent/loop/forgetting.ts';

const journal = (count: number) => ({ forget: async () => count });
const never = () => assert.fail('not asked for');

test('refusals are lifted, and the clock is not touched', async () => {
  const { message } = await forget({ journal: journal(2), waiveClock: never }, {});
  assert.equal(message, '2 refusals lifted.');
  await assert.rejects(forget({ journal: journal(0), waiveClock: never }, { version: '9' }), {
    code: 'nothing-refused',
  });
});

test('the time is forgotten, and no refusal is', async () => {
  const world = { journal: { forget: never }, waiveClock: async () => '2030-01-01T12:00:00Z' };
  const { result, message } = await forget(world, { clock: true });
  assert.equal(result, 'done');
  assert.match(message, /before 2030-01-01T12:00:00Z/);
  assert.equal((await forget({ ...world, waiveClock: async () => undefined }, { clock: true })).result, 'nothing');
});
