/** Names of boot entries are read and written as systemd's boot counting has them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Product, VERSION_PATTERN, type Version } from '../../src/model.ts';
import {
  counted,
  formatEntryName,
  formatWaitingName,
  isOurs,
  parseEntryName,
  parseWaitingName,
} from '../../src/reboot/kernels/entry-name.ts';

const product = 'shop' as Product;
const name = (version: string, left?: number, done = 0) =>
  left === undefined ? { version: version as Version } : { version: version as Version, counter: { left, done } };

const GOOD: Record<string, ReturnType<typeof name>> = {
  'shop_1.2.efi': name('1.2'),
  'shop_1.2+3.efi': name('1.2', 3),
  'shop_1.2+2-1.efi': name('1.2', 2, 1),
  'shop_1.2~rc1+0-3.efi': name('1.2~rc1', 0, 3),
};

for (const [file, entry] of Object.entries(GOOD))
  test(`${file} is read and written`, () => {
    assert.deepEqual(parseEntryName(product, file), entry);
    assert.equal(formatEntryName(product, entry), file);
  });

test('a count of tries done that is written out as zero is read too', () => {
  assert.deepEqual(parseEntryName(product, 'shop_1+3-0.efi'), name('1', 3));
});

const BAD = [
  'shop_.efi',
  'shop_1',
  'shop_1.conf',
  'shopper_1.efi',
  'other_1.efi',
  'shop_1+.efi',
  'shop_1+a.efi',
  'shop_1+1-.efi',
  'shop_1+1-2-3.efi',
  'shop_1+1+1.efi',
  'shop_1+2147483648.efi',
  'shop_1+99999999999.efi',
  'shop_1 .efi',
  'shop_../1.efi',
];

for (const file of BAD)
  test(`"${file}" is no entry name`, () => assert.equal(parseEntryName(product, file), undefined));

test('a counter runs down as the boot loader lets it: +3, +2-1, +1-2, +0-3', () => {
  const names = [3, 2, 1, 0].reduce<string[]>((made) => {
    const last = made.length === 0 ? name('1', 3) : parseEntryName(product, made.at(-1) ?? '');
    assert.ok(last?.counter);
    const counter = made.length === 0 ? last.counter : counted(last.counter);
    return [...made, formatEntryName(product, { version: last.version, counter })];
  }, []);
  assert.deepEqual(names, ['shop_1+3.efi', 'shop_1+2-1.efi', 'shop_1+1-2.efi', 'shop_1+0-3.efi']);
});

test('a waiting UKI has a name that no boot loader takes, and is read back', () => {
  const file = formatWaitingName(product, '1.2' as Version);
  assert.ok(file.startsWith('.') && !file.endsWith('.efi'));
  assert.equal(parseWaitingName(product, file), '1.2');
  assert.equal(parseEntryName(product, file), undefined);
  for (const other of ['.shop_1+3.efi.tandem-new', '.other_1.efi.tandem-new', 'shop_1.efi.tandem-new'])
    assert.equal(parseWaitingName(product, other), undefined);
});

test('whatever the default pattern covers is ours, and nothing else', () => {
  for (const file of ['shop_1.efi', 'SHOP_1.EFI', 'shop_!+9.efi', '.shop_x.efi.tandem-new'])
    assert.equal(isOurs(product, file), true, file);
  for (const file of ['shopper_1.efi', 'debian.efi', 'shop_notes.txt', '.shop_1.efi.swp'])
    assert.equal(isOurs(product, file), false, file);
});

test('every name that can be written is read back the same', () => {
  const counter = fc.tuple(fc.nat(2 ** 31 - 1), fc.nat(2 ** 31 - 1)).map(([left, done]) => ({ left, done }));
  fc.assert(
    fc.property(fc.stringMatching(VERSION_PATTERN), fc.option(counter, { nil: undefined }), (text, count) => {
      const entry = { version: text as Version, ...(count ? { counter: count } : {}) };
      assert.deepEqual(parseEntryName(product, formatEntryName(product, entry)), entry);
    }),
  );
});
