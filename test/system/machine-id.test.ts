/** The id that a host shows the fleet. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appSpecificId, deriveMachineId, readMachineId, readZincatiId } from '../../src/system/machine-id.ts';

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

test('an id for one application is made as systemd makes it', () => {
  // The example of sd_id128 in libsystemd’s own tests.
  const application = '033b1b9b264441fcaa173e9e5bf35c5a';
  assert.equal(appSpecificId('2e074e9b299c41a59923c51ae16f279b', application), '4d4a86c9c6644a479560ded5d19a30c5');
});

test('FleetLock servers that know their hosts as Zincati calls them know this one', async () => {
  // The example of poseidon/fleetlock, which finds the node of an id so.
  const id = await readZincatiId(holding('1c09ca98649c4c7abc779cd04c96812e\n'));
  assert.equal(id, '978a225b3d7b40e9acd7ce9b62f68444');
  await assert.rejects(readZincatiId(holding('')), { code: 'machine-id-missing' });
});
