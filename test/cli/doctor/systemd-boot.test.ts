/** What the firmware's variables tell systemd-boot to do in spite of its loader.conf. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finding } from '../../../src/cli/doctor/finding.ts';
import { systemdBootSettings } from '../../../src/cli/doctor/systemd-boot.ts';
import type { Product } from '../../../src/model.ts';

const VARIABLE = /^\/sys\/firmware\/efi\/efivars\/(\w+)-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f$/;

/** With these variables, and a loader.conf that is in order. */
function judge(variables: Readonly<Record<string, string>>, loaderConf = 'default shop_*\n'): Promise<Finding> {
  const readHead = async (path: string): Promise<Uint8Array | undefined> => {
    if (path === '/efi/loader/loader.conf') return Buffer.from(loaderConf);
    const value = variables[VARIABLE.exec(path)?.[1] ?? ''];
    return value === undefined ? undefined : Buffer.from(`\x07\0\0\0${utf16(`${value}\0`)}`, 'latin1');
  };
  return systemdBootSettings({ readHead, list: async () => [] }, '/efi', 'shop' as Product);
}

const utf16 = (text: string): string => Buffer.from(text, 'utf16le').toString('latin1');

const IN_ORDER: readonly Readonly<Record<string, string>>[] = [
  {},
  { LoaderEntryDefault: '' },
  { LoaderEntryDefault: 'shop_*' },
  { LoaderEntryDefault: 'SHOP_*.EFI', LoaderEntryOneShot: 'shop_*', LoaderEntryPreferred: 'shop_*' },
  { LoaderConfigTimeout: '0' },
  { LoaderConfigTimeout: 'menu-hidden' },
  { LoaderConfigTimeout: 'menu-disabled' },
  { LoaderConfigTimeout: 'nonsense' },
];
for (const variables of IN_ORDER)
  test(`${JSON.stringify(variables)} is in order`, async () => assert.equal((await judge(variables)).result, 'ok'));

const WRONG: readonly (readonly [Readonly<Record<string, string>>, Finding['result'], RegExp, string])[] = [
  [
    { LoaderEntryDefault: 'shop_1.0.efi' },
    'fail',
    /LoaderEntryDefault is "shop_1\.0\.efi": it overrides loader\.conf, and does not match every version/,
    'bootctl set-default ""',
  ],
  [{ LoaderEntryDefault: '@saved' }, 'fail', /"@saved"/, 'bootctl set-default ""'],
  [{ LoaderEntryDefault: 'other_*' }, 'fail', /"other_\*"/, 'bootctl set-default ""'],
  [{ LoaderEntryPreferred: 'shop_1*' }, 'fail', /LoaderEntryPreferred/, 'bootctl set-preferred ""'],
  [
    { LoaderEntryOneShot: 'shop_1.0.efi' },
    'warn',
    /OneShot is "shop_1\.0\.efi": the next start takes it/,
    'bootctl set-oneshot ""',
  ],
  [{ LoaderConfigTimeout: 'menu-force' }, 'fail', /every start waits for a key/, 'bootctl set-timeout ""'],
  [{ LoaderConfigTimeout: '4294967295' }, 'fail', /every start waits for a key/, 'bootctl set-timeout ""'],
  [{ LoaderConfigTimeout: '30' }, 'warn', /every start waits 30 seconds/, 'bootctl set-timeout ""'],
  // Zero lets the menu wait for ever, here.
  [{ LoaderConfigTimeoutOneShot: '0' }, 'warn', /the next start stops in the menu/, 'bootctl set-timeout-oneshot ""'],
  // What lasts is told before what passes.
  [{ LoaderEntryOneShot: 'x', LoaderConfigTimeout: '4294967295' }, 'fail', /waits for a key/, 'bootctl set-timeout ""'],
  [{ LoaderEntryDefault: '\x1b[2Jshop' }, 'fail', /is "\[2Jshop"/, 'bootctl set-default ""'],
];

for (const [variables, result, sentence, command] of WRONG)
  test(`${JSON.stringify(variables)}: ${result}, ${sentence.source}`, async () => {
    const found = await judge(variables);
    assert.equal(found.result, result, found.sentence);
    assert.match(found.sentence, sentence);
    assert.ok(found.next?.includes(`\`${command}\``));
  });

test('a loader.conf that is wrong is told first', async () => {
  const found = await judge({ LoaderEntryDefault: 'other_*' }, 'default other_*\n');
  assert.match(found.sentence, /loader\.conf has the default/);
});
