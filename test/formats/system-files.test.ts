/** Small formats of a system's own files: units, fstab, kernel images. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseFstab } from '../../src/formats/fstab.ts';
import { kernelRelease } from '../../src/formats/linux-image.ts';
import { mountUnit, unitValues } from '../../src/formats/unit-file.ts';

test('values of a unit add up over its drop-ins, and an empty one discards those before it', () => {
  const unit =
    '[Unit]\n# OnActiveSec=1\nOnActiveSec=2\n[Timer]\nOnActiveSec = 10min\nOther=\\\n  a\\\n; comment\n  b\n';
  assert.deepEqual(unitValues([unit], 'Timer', 'OnActiveSec'), ['10min']);
  assert.deepEqual(unitValues([unit, '[Timer]\r\nOnActiveSec=5min\r\n'], 'Timer', 'OnActiveSec'), ['10min', '5min']);
  assert.deepEqual(unitValues([unit, '[Timer]\nOnActiveSec=\nOnActiveSec=5min'], 'Timer', 'OnActiveSec'), ['5min']);
  assert.deepEqual(unitValues([unit], 'Timer', 'Other'), ['a b']);
  assert.deepEqual(unitValues(['[Timer]\nOther=x\\'], 'Timer', 'Other'), ['x']);
});

test('mount units are named as by systemd-escape', () => {
  assert.equal(mountUnit('/var'), 'var.mount');
  assert.equal(mountUnit('/boot/efi/'), 'boot-efi.mount');
  assert.equal(mountUnit('/srv/my-data'), 'srv-my\\x2ddata.mount');
  assert.equal(mountUnit('/srv/ä'), 'srv-\\xc3\\xa4.mount');
});

test('fstab has its fields, with blanks as numbers, and what is missing has its default', () => {
  const [first, second, ...more] = parseFstab(
    '# comment\n\nLABEL=ESP\t/efi/ vfat dirsync,nofail 0 2\n/dev/x /my\\040disk ext4\n/dev/y\n',
  );
  assert.deepEqual(first, { device: 'LABEL=ESP', path: '/efi', type: 'vfat', options: ['dirsync', 'nofail'], pass: 2 });
  assert.deepEqual(second, { device: '/dev/x', path: '/my disk', type: 'ext4', options: ['defaults'], pass: 0 });
  assert.deepEqual(more, []);
});

test('a bzImage shows its version, and other files show none', () => {
  const image = Buffer.alloc(4096);
  image.write('HdrS', 0x202);
  image.writeUInt16LE(0x100, 0x20e);
  image.write('6.12.1-cloud+deb13_amd64 (builder@debian) #1 SMP\0', 0x300);
  assert.equal(kernelRelease(image), '6.12.1-cloud+deb13_amd64');
  assert.equal(kernelRelease(image.subarray(0, 0x208)), undefined);
  assert.equal(kernelRelease(Buffer.alloc(4096)), undefined);
  image.fill(0xff, 0x300);
  assert.equal(kernelRelease(image), undefined);
});

test('no text and no image makes a reader throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.uint8Array({ maxLength: 600 }), (text, bytes) => {
      parseFstab(text);
      unitValues([text], 'Unit', 'After');
      mountUnit(text);
      kernelRelease(bytes);
    }),
  );
});
