/** The boot loader's configuration is judged, never changed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loaderConfFaults } from '../../src/reboot/bootloaders/loader-conf.ts';
import { PRODUCT } from '../support/esp.ts';

const faults = (text: string | undefined): Promise<string[]> =>
  loaderConfFaults(async () => (text === undefined ? undefined : Buffer.from(text)), '/efi', PRODUCT);

for (const text of [
  'timeout 0\ndefault shop_*\n',
  '  default   shop_*  ',
  'default *',
  'timeout 5\ndefault SHOP_?*.efi\n',
  'default "shop_*"\r\ntimeout "0"',
  'default shop\\_*',
  'default shop_*\npreferred shop_*.efi',
])
  test(`${JSON.stringify(text)} is in order`, async () => assert.deepEqual(await faults(text), []));

const WRONG: Record<string, RegExp> = {
  '': /names no default/,
  '#default shop_*': /names no default/,
  'default other_*': /does not match every version/,
  'default shop_1.efi': /does not match every version/,
  'default shop_*\ndefault shop_0.efi': /does not match every version/,
  'default @saved': /leaves the choice to the variable/,
  'default shop_*\ntimeout menu-force': /waits for a key forever/,
  'default shop_*\ntimeout 4294967295': /waits for a key forever/,
  'default "shop_1.efi"': /has the default "shop_1\.efi"/,
  "default 'shop_*'": /does not match every version/,
  'default shop_{0,9}*': /does not match every version/,
  'default shop_[0-9]*': /does not match every version/,
  'default shop_*\npreferred shop_1*': /has the line "preferred shop_1\*", which does not match every version/,
};

for (const [text, what] of Object.entries(WRONG))
  test(`${JSON.stringify(text)} is faulted`, async () => {
    const found = await faults(text);
    assert.equal(found.length, 1);
    assert.match(found[0] ?? '', what);
  });

test('a pattern of many stars is judged at once', async () => {
  const [found] = await faults(`default ${'*'.repeat(20_000)}${'*s'.repeat(20_000)}`);
  assert.match(found ?? '', /does not match every version/);
});

test('a missing file is faulted', async () => assert.match((await faults(undefined)).join(), /does not exist/));
