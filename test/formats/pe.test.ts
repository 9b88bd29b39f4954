/** The UKI reader believes nothing that the file says about itself. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { UpdateError } from '../../src/errors.ts';
import { commandLineValues, osReleaseValue, peSections, ukiText } from '../../src/formats/pe.ts';
import { peFile } from '../support/pe.ts';

const uki = peFile([
  ['.osrel', 'ID=demo\nVERSION_ID="1.2"\n'],
  ['.cmdline', 'quiet roothash=abc root="a b"\n\0'],
  ['.linux', new Uint8Array(700)],
]);

test('the sections of a UKI are read with their names, places and sizes', () => {
  assert.deepEqual(
    peSections(uki).map((section) => [section.name, section.size]),
    [
      ['.osrel', 25],
      ['.cmdline', 31],
      ['.linux', 700],
    ],
  );
});

test('the text of a section has no trailing zeros or line ends', () => {
  assert.equal(ukiText(uki, '.cmdline'), 'quiet roothash=abc root="a b"');
  assert.equal(ukiText(uki, '.initrd'), undefined);
});

test('values are read from a command line and an os-release', () => {
  assert.deepEqual(commandLineValues('a roothash=1 xroothash=2 roothash="3 4"', 'roothash'), ['1', '3 4']);
  assert.equal(osReleaseValue(ukiText(uki, '.osrel') ?? '', 'VERSION_ID'), '1.2');
  assert.equal(osReleaseValue('A=1\nA=2\n', 'A'), '2');
});

test('two sections of one name are refused', () => {
  const twice = peFile([
    ['.cmdline', 'a'],
    ['.cmdline', 'b'],
  ]);
  assert.throws(() => ukiText(twice, '.cmdline'), { code: 'uki-invalid' });
});

test('a file cut anywhere or with any bytes changed never fails with anything but a named error', () => {
  const harmless = (bytes: Uint8Array): void => {
    try {
      ukiText(bytes, '.cmdline');
    } catch (error) {
      assert.ok(error instanceof UpdateError, String(error));
    }
  };
  fc.assert(fc.property(fc.nat(uki.length - 1), (length) => harmless(uki.slice(0, length))));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(255), fc.nat(255)), { minLength: 1, maxLength: 8 }), (changes) => {
      const copy = uki.slice();
      for (const [at, value] of changes) copy[at] = value;
      harmless(copy);
    }),
  );
});
