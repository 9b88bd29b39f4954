/** Two machines made from one image are told apart, and the number of the hardware is not told. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readHardwareId } from '../../src/system/hardware-id.ts';

const UUID = '/sys/class/dmi/id/product_uuid';
const SERIAL = '/proc/device-tree/serial-number';
const idOf = (content: Readonly<Record<string, string>>): Promise<string> =>
  readHardwareId({ read: async (path) => (content[path] === undefined ? undefined : Buffer.from(content[path])) });

test('one machine has one id, another one another, and neither tells the number', async () => {
  const [one, two] = ['4c4c4544-0038-4a10-8052-b4c04f4a4d32', '4c4c4544-0038-4a10-8052-b4c04f4a4d33'];
  assert.match(await idOf({ [UUID]: one }), /^[0-9a-f]{32}$/);
  assert.equal(await idOf({ [UUID]: one }), await idOf({ [UUID]: `${one.toUpperCase()}\n` }));
  assert.notEqual(await idOf({ [UUID]: one }), await idOf({ [UUID]: two }));
  assert.ok(!(await idOf({ [UUID]: one })).includes(one.slice(0, 8)));
});

test('boards without DMI have a serial number', async () => {
  assert.match(await idOf({ [SERIAL]: '10000000a1b2c3d4\0' }), /^[0-9a-f]{32}$/);
});

test('what vendors fill in when they have nothing is no id', async () => {
  for (const filler of [
    '',
    '00000000-0000-0000-0000-000000000000',
    'ffffffff-ffff',
    '03000200-0400-0500-0006-000700080009',
  ])
    assert.equal(await idOf({ [UUID]: filler }), '');
  assert.equal(await idOf({}), '');
});
