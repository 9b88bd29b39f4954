/** The running system has a name, whatever was lost. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runningRelease } from '../../../src/agent/find/running-release.ts';
import type { Product, Release, SlotName, Version } from '../../../src/model.ts';
import type { BootView } from '../../../src/reboot/bootloaders/bootloader.ts';

const product = 'shop' as Product;
const here = { product, booted: 'a' as SlotName, systemVersion: '7' as Version };
const record: Release = { product, version: '5' as Version, counter: 5 };
const view = (version?: string): BootView => ({
  next: 'a',
  slots: {
    a: { bootable: false, confirmed: false, ...(version === undefined ? {} : { version: version as Version }) },
    b: { bootable: true, confirmed: true, version: '4' as Version },
  },
});

test('the record counts while the boot entry tells the same version', () => {
  assert.equal(runningRelease(here, { slots: { a: record } }, view('5')), record);
  assert.deepEqual(runningRelease(here, { slots: { a: record } }, view('6')), { product, version: '6' });
});

test('where the boot loader knows nothing of the slot, our record tells', () => {
  assert.equal(runningRelease(here, { slots: { a: record } }, view()), record);
});

test('a machine that was never updated and has lost its flags runs what its own system says', () => {
  assert.deepEqual(runningRelease(here, { slots: {} }, view()), { product, version: '7' });
});
