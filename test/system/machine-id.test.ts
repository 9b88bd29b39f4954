/** The id that a host shows the fleet. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deriveMachineId, readMachineId } from '../../src/system/machine-id.ts';

const OWN = '0123456789abcdef0123456789abcdef';
const holding = (text: string | undefined) => ({
  read: async () => (text === undefined ? undefined : Buffer.from(text)),
});

test('the id is the same at every start, another on every host, and does not tell the machine id', async () => {
  const id = await readMachineId(holding(`${OWN}\n`));
  assert.match(id, /^[0-9a-f]{32}$/);
  assert.equal(id, deriveMachineId(OWN));
  assert.notEqual(id, OWN);
  assert.notEqual(id, deriveMachineId(OWN.replace('0', '1')));
});

test('a host without a machine id of its own is told so', async () => {
  for (const text of [undefined, '', 'uninitialized\n', `${'0'.repeat(32)}\n`, `${OWN}${OWN}`])
    await assert.rejects(readMachineId(holding(text)), { code: 'machine-id-missing' });
});
